"""Tests of the official JPEG round trip."""

import sys
from unittest import mock

from absl.testing import absltest, parameterized
import cv2
import numpy as np

from xtra_tf.errors import UsageError
from xtra_tf.numerics import jpeg_codec


def smooth(*shape):
  """Gradients in each channel, which a JPEG file keeps well."""
  height, width, channels = shape[-3:]
  y, x = np.mgrid[0:height, 0:width]
  ramp = (y * 120 // height + x * 120 // width)[..., None]
  frame = (ramp + 5 * np.arange(channels)).astype(np.uint8)
  return np.broadcast_to(frame, shape).copy()


def noise(*shape, seed=0):
  return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def mean_error(frames):
  return np.abs(jpeg_codec.round_trip(frames).astype(int) - frames).mean()


class JpegCodecTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('colours', (96, 96, 3), cv2.IMREAD_COLOR),
      ('grey', (96, 96, 1), cv2.IMREAD_GRAYSCALE),
      ('no_multiple_of_a_block', (37, 51, 3), cv2.IMREAD_COLOR))
  def test_is_what_opencv_does_unasked(self, shape, mode):
    frame = noise(*shape)
    _, encoded = cv2.imencode('.jpg', frame)
    expected = cv2.imdecode(np.frombuffer(encoded.tobytes(), np.uint8), mode)
    np.testing.assert_array_equal(
        jpeg_codec.round_trip(frame), expected.reshape(shape))

  def test_quality_is_95_with_half_the_chroma(self):
    frame = noise(32, 32, 3)
    found = jpeg_codec.round_trip(frame)

    def as_asked(quality, sampling):
      _, encoded = cv2.imencode('.jpg', frame, [
          cv2.IMWRITE_JPEG_QUALITY, quality,
          cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling])
      return cv2.imdecode(encoded, cv2.IMREAD_COLOR)

    half, full = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
                  cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    np.testing.assert_array_equal(found, as_asked(95, half))
    self.assertTrue((found != as_asked(95, full)).any())
    self.assertTrue((found != as_asked(94, half)).any())

  def test_a_batch_is_its_frames_one_by_one(self):
    frames = noise(2, 3, 24, 24, 3)
    found = jpeg_codec.round_trip(frames)
    self.assertEqual(found.shape, frames.shape)
    self.assertEqual(found.dtype, np.uint8)
    for i in range(2):
      for j in range(3):
        np.testing.assert_array_equal(found[i, j],
                                      jpeg_codec.round_trip(frames[i, j]))

  def test_equal_frames_give_equal_results_and_stay_as_they_are(self):
    frames = noise(4, 16, 16, 3)
    before = frames.copy()
    first = jpeg_codec.round_trip(frames)
    np.testing.assert_array_equal(first, jpeg_codec.round_trip(frames))
    np.testing.assert_array_equal(frames, before)
    self.assertFalse(np.shares_memory(first, frames))

  def test_memory_may_have_any_layout(self):
    frames = noise(16, 16, 6)[:, ::-1, ::2]
    np.testing.assert_array_equal(
        jpeg_codec.round_trip(frames),
        jpeg_codec.round_trip(np.ascontiguousarray(frames)))

  def test_no_frames_at_all(self):
    self.assertEqual(jpeg_codec.round_trip(noise(0, 8, 8, 3)).shape,
                     (0, 8, 8, 3))

  @parameterized.parameters(0, 1, 2)
  def test_channels_keep_their_order(self, channel):
    frame = np.zeros([16, 16, 3], np.uint8)
    frame[..., channel] = 200
    found = jpeg_codec.round_trip(frame).astype(int)
    others = [c for c in range(3) if c != channel]
    self.assertGreater(found[..., channel].min(), 190)
    self.assertLess(found[..., others].max(), 10)

  def test_red_and_blue_are_exchanged_for_the_colours_alone(self):
    """A picture whose channels are handed over in OpenCV's order differs."""
    frame = smooth(32, 32, 3)
    frame[8:24, 8:24] = (255, 0, 40)
    exchanged = jpeg_codec.round_trip(frame[..., ::-1])[..., ::-1]
    found = jpeg_codec.round_trip(frame)
    self.assertTrue((found != exchanged).any())
    self.assertLess(np.abs(found.astype(int) - exchanged).mean(), 5)

  def test_errors_are_of_a_plausible_size(self):
    self.assertLess(mean_error(smooth(96, 96, 3)), 1)
    self.assertLess(mean_error(np.full([96, 96, 3], 77, np.uint8)), 1)
    self.assertBetween(mean_error(noise(96, 96, 3)), 10, 60)
    # Without chroma there is little to lose.
    self.assertLess(mean_error(noise(96, 96, 1)), 2)

  @parameterized.named_parameters(
      ('channels', np.zeros([8, 8, 10], np.uint8), r'uint8\[8, 8, 10\]'),
      ('rank', np.zeros([8, 3], np.uint8), r'uint8\[8, 3\]'),
      ('dtype', np.zeros([8, 8, 3], np.float32), r'float32\[8, 8, 3\]'))
  def test_other_frames_are_refused(self, frames, shown):
    with self.assertRaisesRegex(ValueError, f'got {shown}'):
      jpeg_codec.round_trip(frames)

  def test_missing_opencv_is_said(self):
    with mock.patch.dict(sys.modules, {'cv2': None}):
      with self.assertRaisesRegex(UsageError, r'needs OpenCV.*xtra-tf\[atari'):
        jpeg_codec.round_trip(noise(8, 8, 3))

  @parameterized.parameters(1, 3)
  def test_decoding_is_the_second_half(self, channels):
    frame = noise(24, 16, channels)
    data = cv2.imencode('.jpg', frame)[1].tobytes()
    self.assertEqual(jpeg_codec.picture_shape(data), (24, 16, channels))
    np.testing.assert_array_equal(
        jpeg_codec.decode(data), jpeg_codec.round_trip(frame))

  @parameterized.parameters(
      (b'', 'begin'), (b'PNG', 'begin'), (b'\xff\xd8', 'truncated'),
      (b'\xff\xd8\xff\xd9', 'header is damaged'))
  def test_what_is_no_picture(self, data, text):
    with self.assertRaisesRegex(ValueError, text):
      jpeg_codec.decode(data)


if __name__ == '__main__':
  absltest.main()
