"""Tests of stacking and scaling."""

import numpy as np
import tensorflow as tf

from xtra_tf.numerics import observations


class ObservationsTest(tf.test.TestCase):

  def test_bytes_are_scaled_and_floats_pass(self):
    self.assertAllClose(
        observations.scale_frames(tf.constant([0, 51, 255], tf.uint8)),
        [0., 0.2, 1.])
    x = tf.constant([-3., 7.])
    self.assertAllEqual(observations.scale_frames(x), x)
    with self.assertRaisesRegex(ValueError, 'uint8 or float32, got int32'):
      observations.scale_frames(tf.constant([1]))

  def test_channels_are_frame_major(self):
    frames = np.random.default_rng(0).integers(
        0, 256, [2, 4, 5, 6, 3]).astype(np.uint8)
    stacked = observations.stack_frames(tf.constant(frames)).numpy()
    self.assertEqual(stacked.shape, (2, 5, 6, 12))
    for frame in range(4):
      self.assertAllClose(stacked[..., 3 * frame:3 * frame + 3],
                          frames[:, frame] / 255.)

  def test_vectors(self):
    frames = tf.reshape(tf.range(12.), [2, 3, 2])
    self.assertAllEqual(observations.stack_frames(frames),
                        tf.reshape(tf.range(12.), [2, 6]))

  def test_other_ranks_are_refused(self):
    with self.assertRaisesRegex(ValueError, r'\[H, W, C\] or \[D\]'):
      observations.stack_frames(tf.zeros([2, 3, 4, 4]))

  def test_window_stacks_end_in_their_own_row(self):
    window = tf.reshape(tf.range(8.), [1, 8, 1])
    found = observations.window_stacks(window, stack=3, offsets=[0, 2, 5])
    self.assertAllEqual(tf.concat(found, axis=0),
                        [[0., 1., 2.], [2., 3., 4.], [5., 6., 7.]])

  def test_window_stacks_outside(self):
    with self.assertRaisesRegex(ValueError, 'states 0..5, got 6'):
      observations.window_stacks(tf.zeros([1, 8, 1]), 3, [6])


if __name__ == '__main__':
  tf.test.main()
