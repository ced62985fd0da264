"""Frames in another size and colour."""

from absl.testing import parameterized
import numpy as np

from xtra_tf.numerics.frame_conversion import convert_frame


class FrameConversionTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.frame = np.random.default_rng(0).integers(
        0, 256, [12, 8, 3], np.uint8)

  def test_same_shape_is_the_same_frame(self):
    self.assertIs(convert_frame(self.frame, (12, 8, 3)), self.frame)

  def test_grey_is_the_weighted_sum(self):
    grey = convert_frame(self.frame, (12, 8, 1))[..., 0]
    # By hand: red weighs more than blue.
    expected = self.frame @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(grey, expected, atol=1)

  def test_grey_to_rgb_and_back_is_the_same(self):
    grey = self.frame[..., :1]
    rgb = convert_frame(grey, (12, 8, 3))
    self.assertEqual(rgb.shape, (12, 8, 3))
    np.testing.assert_array_equal(convert_frame(rgb, (12, 8, 1)), grey)

  def test_halving_is_the_mean_of_four(self):
    half = convert_frame(self.frame, (6, 4, 3))
    mean = self.frame.reshape(6, 2, 4, 2, 3).mean((1, 3))
    np.testing.assert_allclose(half, mean, atol=1)

  @parameterized.parameters((24, 16, 1), (24, 16, 3), (5, 7, 1), (20, 4, 3))
  def test_shapes(self, *shape):
    for channels in (1, 3):
      converted = convert_frame(self.frame[..., :channels], shape)
      self.assertEqual((converted.shape, converted.dtype), (shape, np.uint8))

  def test_another_type(self):
    with self.assertRaisesRegex(ValueError, r'float32\[12, 8, 3\]'):
      convert_frame(self.frame.astype(np.float32), (6, 4, 3))
