"""The JPEG file that every observation of the official code goes through.

There it is a means of storage, but one that shows: on 96 x 96 frames of Atari
games the mean error is 1 (Centipede) to 12 (MsPacman) of 255. A network that
was trained on such frames should be shown such frames.
"""

from typing import Any, Tuple

import numpy as np

from xtra_tf.errors import UsageError


def round_trip(frames: np.ndarray) -> np.ndarray:
  """Frames as they come back from a JPEG file each.

    frame -> cv2.imencode('.jpg', frame) -> cv2.imdecode

  with OpenCV's defaults: quality 95, chroma at half the resolution. OpenCV
  takes the first channel for blue, while it is red here. The decoder makes the
  same mistake, so that channels keep their order, but luma and chroma are those
  of a picture with red and blue exchanged.
  Source: EfficientZero core/utils.py:321-348; XTRA core/utils.py:235-249.

  Args:
    frames: uint8[..., H, W, 3] in RGB, or uint8[..., H, W, 1] in grey.

  Returns:
    uint8 of the same shape, new memory. Equal frames give equal results.

  Raises:
    ValueError: frames of another type or shape.
    UsageError: OpenCV is not installed.
  """
  if frames.dtype != np.uint8 or frames.ndim < 3 or (
      frames.shape[-1] not in (1, 3)):
    raise ValueError('`frames` must be uint8[..., H, W, 3] or [..., H, W, 1], '
                     f'got {frames.dtype}{list(frames.shape)}.')
  cv2 = _opencv()
  mode = cv2.IMREAD_COLOR if frames.shape[-1] == 3 else cv2.IMREAD_GRAYSCALE
  decoded = np.empty_like(frames, order='C')
  # A view of all frames in a row: decoding writes into `decoded`.
  rows = decoded.reshape([-1, *frames.shape[-3:]])
  for row, frame in zip(rows, frames.reshape(rows.shape)):
    _, encoded = cv2.imencode('.jpg', frame)
    row[...] = cv2.imdecode(encoded, mode).reshape(frame.shape)
  return decoded


def picture_shape(data: bytes) -> Tuple[int, int, int]:
  """Height, width and channels that a JPEG file says it has.

  Nothing is decoded, so that a size may be refused before memory is taken.

  Args:
    data: the whole file.

  Returns:
    (H, W, C).

  Raises:
    ValueError: it is no JPEG file, or is truncated.
  """
  if data[:2] != b'\xff\xd8':
    raise ValueError('it does not begin like a JPEG file')
  if data[-2:] != b'\xff\xd9':
    raise ValueError('it is truncated: it does not end like a JPEG file')
  place = 2
  while place + 10 <= len(data) and data[place] == 0xFF:
    kind = data[place + 1]
    # Start of a frame: its length, bits per value, H, W, C.
    if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
      height = int.from_bytes(data[place + 5:place + 7], 'big')
      width = int.from_bytes(data[place + 7:place + 9], 'big')
      return height, width, data[place + 9]
    place += 2 + int.from_bytes(data[place + 2:place + 4], 'big')
  raise ValueError('its header is damaged')


def decode(data: bytes) -> np.ndarray:
  """The picture in a JPEG file of the official code.

  The file was made by the first half of `round_trip`: a decoder that is told
  nothing of the exchanged channels would exchange red and blue.

  Args:
    data: the whole file, whose `picture_shape` is one that can be afforded.

  Returns:
    uint8[H, W, 3] in RGB, or uint8[H, W, 1] in grey.

  Raises:
    ValueError: it is damaged.
    UsageError: OpenCV is not installed.
  """
  shape = picture_shape(data)
  cv2 = _opencv()
  mode = cv2.IMREAD_COLOR if shape[2] == 3 else cv2.IMREAD_GRAYSCALE
  picture = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
  if picture is None or picture.size != np.prod(shape):
    raise ValueError('it cannot be decoded')
  return picture.reshape(shape)


def _opencv() -> Any:
  """The module; it is an extra, and nobody needs it for lossless frames."""
  try:
    import cv2
  except ImportError as error:
    raise UsageError(
        f'The observation codec `jpeg` needs OpenCV, which is not installed '
        f'({error}). Expected `pip install "xtra-tf[atari]"`.') from error
  return cv2
