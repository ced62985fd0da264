"""Frames of an environment with the official JPEG codec."""

import cv2
import numpy as np
import tensorflow as tf

from xtra_tf import environments, tasks

FIRST, MID, LAST = 0, 1, 2


class CodecTest(tf.test.TestCase):

  def test_frames_have_been_through_one_jpeg_file(self):
    """At every step, that of a new game and of a lost life included."""
    for gray in (False, True):
      pair = [environments.load(
          tasks.get_task('Breakout', resolution=48, grayscale=gray,
                         codec=codec),
          num_envs=2, seed=0, training=True, max_episode_steps=60)
              for codec in ('lossless', 'jpeg')]
      lossless, jpeg = pair
      step_types = set()
      time_steps = [e.reset() for e in pair]
      for number in range(90):
        plain, coded = (t.observation['frame'] for t in time_steps)
        for slot in range(2):
          _, file = cv2.imencode('.jpg', plain[slot])
          expected = cv2.imdecode(file, cv2.IMREAD_GRAYSCALE if gray else
                                  cv2.IMREAD_COLOR)
          self.assertAllEqual(coded[slot], expected.reshape(plain[slot].shape))
        step_types.update(time_steps[0].step_type)
        actions = np.array([1, 3 + number % 2], np.int32)
        time_steps = [e.step(actions) for e in pair]
        for x, y in zip(lossless.get_info(), jpeg.get_info()):
          self.assertAllEqual(x, y)
      self.assertEqual(step_types, {FIRST, MID, LAST})
      lossless.close()
      jpeg.close()


if __name__ == '__main__':
  tf.test.main()
