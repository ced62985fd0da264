"""Tests of the animation of a game."""

import io

from absl.testing import absltest
import numpy as np
from PIL import Image

from xtra_tf.evaluation import animation


def _moving_square(steps: int) -> np.ndarray:
  pictures = np.zeros([steps + 1, 40, 32, 3], np.uint8)
  pictures[..., 2] = 90
  for step in range(steps + 1):
    pictures[step, 10:18, step % 24:step % 24 + 8] = (250, 200, 0)
  return pictures


def _decode(gif: bytes):
  image = Image.open(io.BytesIO(gif))
  frames = []
  for index in range(image.n_frames):
    image.seek(index)
    frames.append(np.asarray(image.convert('RGB')))
  return frames


class AnimationTest(absltest.TestCase):

  def test_short_game_is_shown_whole_in_its_colours(self):
    pictures = _moving_square(20)
    made = animation.encode(pictures)
    self.assertEqual((made.frames, made.stride, made.steps), (21, 1, 20))
    self.assertEqual((made.width, made.height), (32, 40))
    frames = _decode(made.gif)
    self.assertLen(frames, 21)
    for frame, picture in zip(frames, pictures):
      np.testing.assert_allclose(frame.astype(int), picture, atol=6)

  def test_long_game_leaves_out_frames_but_not_the_end(self):
    pictures = _moving_square(700)
    made = animation.encode(pictures)
    self.assertEqual(made.stride, 3)
    self.assertEqual(made.frames, 235)
    self.assertEqual(made.steps, 700)
    np.testing.assert_allclose(_decode(made.gif)[-1].astype(int), pictures[-1],
                               atol=6)

  def test_file_keeps_to_its_limit(self):
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, [65, 40, 32, 3], np.uint8)
    whole = animation.encode(pictures)
    limit = len(whole.gif) // 3
    made = animation.encode(pictures, max_bytes=limit)
    self.assertLessEqual(len(made.gif), limit)
    self.assertEqual(made.stride, 4)

  def test_impossible_limit(self):
    with self.assertRaisesRegex(ValueError, 'more than 10'):
      animation.encode(_moving_square(5), max_bytes=10)


if __name__ == '__main__':
  absltest.main()
