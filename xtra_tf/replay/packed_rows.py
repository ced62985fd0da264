"""Rows of windows as bytes, so that a table of them fits into memory."""

from typing import Dict, NamedTuple, Optional, Sequence
import zlib

import numpy as np

from xtra_tf.replay.window import WindowSpec

# Below this size a frame is kept as it is: there is nothing to gain.
_LEAST_COMPRESSED_BYTES = 512
# As in the episode log: higher levels gain little and cost the actor time.
_COMPRESSION_LEVEL = 1


class PackedRow(NamedTuple):
  """One row of a segment; windows that overlap share it."""
  observation: bytes  # compressed if frames are large
  columns: bytes  # all others


class RowCodec:
  """Packs rows and unpacks windows, without loss."""

  def __init__(self, window: WindowSpec):
    self._window = window
    signature = window.signature()
    self._frame = signature.pop('observation')
    self._columns = np.dtype([
        (name, spec.dtype.as_numpy_dtype, tuple(spec.shape[1:]))
        for name, spec in signature.items()])
    self._dtype = np.dtype(self._frame.dtype.as_numpy_dtype)
    self._size = int(np.prod(window.observation_shape)) * self._dtype.itemsize
    self._compresses = self._size >= _LEAST_COMPRESSED_BYTES

  def pack(self, step: Dict[str, np.ndarray],
           observation: Optional[bytes] = None) -> PackedRow:
    """Packs one row.

    Args:
      step: {column: [...]} without the axis W.
      observation: its frame, if it has been packed already.

    Returns:
      The row.
    """
    if observation is None:
      observation = self._pack_frame(step['observation'])
    row = np.zeros([], self._columns)
    for name in self._columns.names or ():
      row[name] = step[name]
    return PackedRow(observation, row.tobytes())

  def _pack_frame(self, frame: np.ndarray) -> bytes:
    content = np.ascontiguousarray(frame, self._dtype).tobytes()
    if self._compresses:
      return zlib.compress(content, _COMPRESSION_LEVEL)
    return content

  def unpack(self, windows: Sequence[Sequence[PackedRow]]
             ) -> Dict[str, np.ndarray]:
    """Unpacks B windows.

    Args:
      windows: W rows each.

    Returns:
      {column: [B, W, ...]}, as `WindowSpec.signature` says.
    """
    size = len(windows), self._window.length
    frames = np.empty([*size, *self._window.observation_shape], self._dtype)
    # Padding, and windows of neighbours, show the same frame again.
    opened: Dict[int, np.ndarray] = {}
    for number, window in enumerate(windows):
      for place, row in enumerate(window):
        key = id(row.observation)
        if key not in opened:
          opened[key] = self._open(row.observation)
        frames[number, place] = opened[key]
    columns = np.frombuffer(
        b''.join(row.columns for window in windows for row in window),
        self._columns).reshape(size)
    return {'observation': frames,
            **{name: np.ascontiguousarray(columns[name])
               for name in self._columns.names or ()}}

  def _open(self, packed: bytes) -> np.ndarray:
    content = packed
    if self._compresses:
      # With the right size at once nothing is copied while unpacking.
      content = zlib.decompress(packed, bufsize=self._size)
    return np.frombuffer(content, self._dtype).reshape(
        self._window.observation_shape)
