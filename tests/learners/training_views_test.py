"""What the network sees in training: shifted, a little brighter or darker."""

from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from xtra_tf.learners import LearnerSettings, unroll_loss
from xtra_tf.testing import training_batches

_ROWS, _SHIFT = 6, 2


def shifted(image, down, right):
  """Border pixels repeated, then a crop: <float>[H, W, C]."""
  height, width, _ = image.shape
  padded = np.pad(image, [(_SHIFT, _SHIFT), (_SHIFT, _SHIFT), (0, 0)], 'edge')
  return padded[_SHIFT + down:_SHIFT + down + height,
                _SHIFT + right:_SHIFT + right + width]


class TrainingViewsTest(parameterized.TestCase, tf.test.TestCase):
  """EfficientZero core/train.py:72-75 and core/dataset.py."""

  def setUp(self):
    super().setUp()
    self.batch = training_batches.random_unroll((_ROWS,))
    self.plain = self.views(shift=0, intensity=0.)

  def views(self, seed=(1, 2), **settings):
    """[K + 1, B, H, W, C], the root's first."""
    found = unroll_loss.training_views(
        self.batch, LearnerSettings(stack=2, **settings), tf.constant(seed))
    return np.stack([found.root, *found.future])

  def test_each_view_is_shifted_as_a_whole(self):
    views = self.views(shift=_SHIFT, intensity=0.)
    offsets = range(-_SHIFT, _SHIFT + 1)
    drawn = np.array([[
        [(down, right) for down in offsets for right in offsets
         if np.array_equal(view, shifted(plain, down, right))]
        for view, plain in zip(*pair)] for pair in zip(views, self.plain)])
    # One offset explains all channels of a view; [K + 1, B, 1, 2].
    self.assertEqual(drawn.shape, (6, _ROWS, 1, 2))
    root, future = drawn[0, :, 0], drawn[1:, :, 0]
    self.assertAllEqual(future, np.tile(future[:1], [5, 1, 1]))
    for draw in (root, future[0]):
      self.assertGreater(len(np.unique(draw, axis=0)), 2)
    self.assertNotAllEqual(root, future[0])

  def test_each_view_has_one_brightness(self):
    factor = (self.views(shift=0, intensity=0.05)
              / np.maximum(self.plain, 1e-6))[:, :, 1:]
    bright = np.where(self.plain[:, :, 1:] > 0., factor, np.nan)
    drawn = np.nanmean(bright, axis=(2, 3, 4))
    self.assertAllClose(np.nanmin(bright, axis=(2, 3, 4)), drawn, rtol=1e-5)
    self.assertAllClose(np.nanmax(bright, axis=(2, 3, 4)), drawn, rtol=1e-5)
    self.assertAllInRange(drawn, 0.899, 1.101)
    self.assertAllClose(drawn[1:], np.tile(drawn[1], [5, 1]))
    for row in (drawn[0], drawn[1], drawn[0] / drawn[1]):
      self.assertGreater(np.ptp(row), 0.005)

  def test_a_step_has_draws_of_its_own(self):
    first, again, other = (self.views(seed, shift=_SHIFT, intensity=0.05)
                           for seed in ((1, 2), (1, 2), (1, 3)))
    self.assertAllEqual(first, again)
    for view, another in zip(first, other):
      self.assertNotAllClose(view, another)

  def test_the_papers_sizes_are_the_default(self):
    with mock.patch.object(unroll_loss.augmentation, 'random_shift',
                           side_effect=lambda x, size, seed: x) as shift:
      self.views(intensity=0.)
    self.assertEqual([call.args[1] for call in shift.call_args_list], [4, 4])
    self.assertEqual(LearnerSettings().intensity, 0.05)


if __name__ == '__main__':
  tf.test.main()
