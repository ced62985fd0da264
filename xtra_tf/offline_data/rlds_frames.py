"""The observations of an RLDS episode, decoded one by one."""

from typing import Any, Optional, Tuple

import numpy as np

from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.numerics import jpeg_codec

_PNG = b'\x89PNG\r\n\x1a\n'
_CHANNELS = {0: 1, 2: 3}  # by the colour type of PNG: grey, RGB
_MAX_SIDE = 512


class RldsFrames:
  """R frames; a picture is decoded when it is asked for.

  Attributes:
    shape: of a frame, by the first one.
    is_jpeg: the first frame is a JPEG file.
  """

  def __init__(self, path: str, record: int, values: np.ndarray, feature: Any,
               expected: Optional[Tuple[int, ...]]):
    """Looks at the first frame.

    Args:
      path: of the file, for messages.
      record: the episode, for messages.
      values: [R] files of pictures, or [R, *shape] numbers.
      feature: a tfds.features.Image or Tensor.
      expected: shape of every frame; that of the first one if not given.

    Raises:
      DataFileError: the first frame is damaged.
    """
    self._path = path
    self._record = record
    self._values = values
    self._feature = feature
    self._pictures = values.dtype == object
    self.is_jpeg = False
    self.shape: Tuple[int, ...] = tuple(values.shape[1:])
    if self._pictures and len(values):
      self.shape = self._size(0)
      self.is_jpeg = values[0][:2] == b'\xff\xd8'
    if expected is not None:
      self.shape = expected

  def __len__(self) -> int:
    return len(self._values)

  def __getitem__(self, step: int) -> np.ndarray:
    """Frame of one step, uint8[H, W, C] or as the feature says.

    Raises:
      DataFileError: it is damaged.
      IncompatibleDataError: it is of another size.
    """
    if not self._pictures:
      return self._number(step)
    size = self._size(step)
    if size != self.shape:
      raise IncompatibleDataError(
          f'{self._path}, record {self._record}: frame {step} has the shape '
          f'{list(size)}, expected {list(self.shape)}. Expected one resolution '
          'in all of a data set.')
    import tensorflow as tf  # pylint: disable=g-import-not-at-top
    try:
      return self._feature.decode_example(
          tf.constant(self._values[step])).numpy().reshape(self.shape)
    except (tf.errors.OpError, ValueError) as error:
      raise self._damaged(step, error) from error

  def _number(self, step: int) -> np.ndarray:
    dtype = np.dtype(self._feature.np_dtype)
    values = self._values[step]
    if dtype.kind in 'iu' and values.size:
      limits = np.iinfo(dtype)
      if values.min() < limits.min or values.max() > limits.max:
        raise self._damaged(step, ValueError(f'it does not fit {dtype}'))
    return values.astype(dtype)

  def _size(self, step: int) -> Tuple[int, int, int]:
    """Height, width and channels by the file's header, before decoding it."""
    data = self._values[step]
    try:
      size = (jpeg_codec.picture_shape(data) if data[:2] == b'\xff\xd8'
              else _png_size(data))
      if not 1 <= min(size[:2]) <= max(size[:2]) <= _MAX_SIDE:
        raise ValueError(f'it has {size[0]} x {size[1]} pixels, expected at '
                         f'most {_MAX_SIDE} a side')
    except (ValueError, IndexError) as error:
      raise self._damaged(step, error) from error
    return size

  def _damaged(self, step: int, error: Exception) -> DataFileError:
    return DataFileError(
        self._path, f'frame {step} cannot be decoded: {str(error)[:200]}.',
        record=self._record, hint='Expected PNG or JPEG as features.json says.')


def _png_size(data: bytes) -> Tuple[int, int, int]:
  if data[:8] != _PNG or data[12:16] != b'IHDR' or len(data) < 26:
    raise ValueError('it is neither PNG nor JPEG')
  if data[24] != 8 or data[25] not in _CHANNELS:
    raise ValueError('it is no PNG of 8 bits in grey or RGB')
  # Width comes first in PNG.
  return (int.from_bytes(data[20:24], 'big'),
          int.from_bytes(data[16:20], 'big'), _CHANNELS[data[25]])
