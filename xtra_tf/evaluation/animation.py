"""An evaluation game as a small GIF, played again from its actions."""

import io
from typing import List, NamedTuple

import numpy as np
from PIL import Image

MAX_BYTES = 2 * 2**20
# Agent steps that are shown at most; a frame is kept for each while drawing.
MAX_STEPS = 1200
_MAX_FRAMES = 300
_MILLISECONDS = 80  # that a frame is shown; browsers slow down below 20


class Animation(NamedTuple):
  """A GIF and what it shows."""
  gif: bytes
  frames: int
  stride: int  # agent steps between two frames
  steps: int  # agent steps shown, from the game's start on
  width: int  # pixels
  height: int


def encode(pictures: np.ndarray, max_bytes: int = MAX_BYTES) -> Animation:
  """Encodes a game, leaving out frames until the file is small enough.

  Args:
    pictures: uint8[T + 1, H, W, 3], the start and one after each step.
    max_bytes: of the file.

  Raises:
    ValueError: not even two frames fit.
  """
  count = len(pictures)
  stride = max(1, -(-count // _MAX_FRAMES))
  while True:
    chosen = list(range(0, count, stride))
    # The end is what a viewer waits for.
    if chosen[-1] != count - 1:
      chosen.append(count - 1)
    gif = _to_gif(pictures[chosen])
    if len(gif) <= max_bytes:
      height, width = pictures.shape[1:3]
      return Animation(gif, len(chosen), stride, count - 1, width, height)
    if len(chosen) <= 2:
      raise ValueError(f'Two frames take {len(gif)} bytes, more than '
                       f'{max_bytes}.')
    stride *= 2


def _to_gif(pictures: np.ndarray) -> bytes:
  images = _with_one_palette(pictures)
  buffer = io.BytesIO()
  images[0].save(buffer, format='GIF', save_all=True, append_images=images[1:],
                 duration=_MILLISECONDS, loop=0, optimize=False, disposal=1)
  return buffer.getvalue()


def _with_one_palette(pictures: np.ndarray) -> List[Image.Image]:
  """Palette images that share colours, so that frames differ where they move.

  Colours chosen frame by frame would flicker and make every pixel differ.
  """
  sample = np.concatenate(
      [pictures[i] for i in np.linspace(0, len(pictures) - 1, 8, dtype=int)])
  palette = Image.fromarray(sample).quantize(256, dither=Image.Dither.NONE)
  return [Image.fromarray(picture).quantize(palette=palette,
                                            dither=Image.Dither.NONE)
          for picture in pictures]
