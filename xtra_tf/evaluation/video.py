"""An evaluation game as a video file, played again from its actions."""

import contextlib
import os
from typing import Any, Iterator, List, NamedTuple

import numpy as np

from xtra_tf import environments
from xtra_tf.errors import StorageError, UsageError
from xtra_tf.evaluation.results import Recording
from xtra_tf.runs import make_folder, write_bytes
from xtra_tf.tasks import TaskSpec

FORMATS = ('.mp4', '.gif')
_EMULATOR_FRAMES_PER_SECOND = 60
_OTHER_STEPS_PER_SECOND = 10
# VP9: OpenCV's wheels have an encoder for it, and browsers a decoder.
_CODEC = 'vp09'
# Of each pixel's side: chroma has half the resolution, games have single lines.
_ENLARGEMENT = 2
# Pictures in memory at most; a GIF is a sketch of a long game.
_MAX_GIF_PICTURES = 600


class Video(NamedTuple):
  """A video that has been written."""
  path: str
  pictures: int
  steps: int  # agent steps of the game, all of them shown or passed over
  stride: int  # agent steps between two pictures; 1: every step is shown


def check_video(path: str) -> None:
  """Refuses a video that could not be written, before a game is played.

  Args:
    path: of the file; an existing one will be replaced.

  Raises:
    UsageError: its ending is not one of `FORMATS`, or a package is missing.
    StorageError: its folder cannot be made.
  """
  ending = _ending(path)
  if ending not in FORMATS:
    raise UsageError(f'A video cannot be written as {path!r}. Expected a name '
                     f'that ends in {" or ".join(FORMATS)}.')
  _writer_of(ending)
  make_folder(os.path.dirname(os.path.abspath(path)))


def write_video(path: str, task: TaskSpec, recording: Recording) -> Video:
  """Plays a recorded game again and writes what a human would see.

  An .mp4 shows every agent step at the game's own speed (15 a second in Atari).
  A .gif is small instead: of a long game it leaves out pictures.

  Args:
    path: see `check_video`.
    task: as it was evaluated.
    recording: of the game.

  Raises:
    UserError: as of `check_video`, or the game cannot be played again.
  """
  check_video(path)
  pictures = environments.play_again(
      task, recording.seed_index, recording.actions, recording.raw_rewards)
  steps = len(recording.actions)
  if _ending(path) == '.gif':
    return _write_gif(path, pictures, steps)
  return _write_mp4(path, pictures, steps, _steps_per_second(task))


def _write_gif(path: str, pictures: Iterator[np.ndarray], steps: int) -> Video:
  stride = -(-(steps + 1) // _MAX_GIF_PICTURES)
  kept: List[np.ndarray] = [
      picture for number, picture in enumerate(pictures)
      # The end is what a viewer waits for.
      if number % stride == 0 or number == steps]
  drawn = _writer_of('.gif').encode(np.stack(kept))
  write_bytes(path, drawn.gif)
  return Video(path, drawn.frames, steps, stride * drawn.stride)


def _write_mp4(path: str, pictures: Iterator[np.ndarray], steps: int,
               steps_per_second: float) -> Video:
  cv2 = _writer_of('.mp4')
  # What an interruption leaves behind must not look like a whole video.
  unfinished = f'{path[:-len(".mp4")]}.unfinished.mp4'
  writer = None
  try:
    for picture in pictures:
      large = picture.repeat(_ENLARGEMENT, axis=0).repeat(_ENLARGEMENT, axis=1)
      if writer is None:
        writer = cv2.VideoWriter(
            unfinished, cv2.VideoWriter_fourcc(*_CODEC), steps_per_second,
            (large.shape[1], large.shape[0]))
        if not writer.isOpened():
          raise UsageError(
              f'OpenCV cannot write {unfinished} with the codec {_CODEC}. '
              'Expected opencv-python-headless of requirements.lock; a .gif '
              'does without it.')
      writer.write(np.ascontiguousarray(large[..., ::-1]))  # to blue first
  except BaseException:
    _release(writer)
    with contextlib.suppress(OSError):
      os.unlink(unfinished)
    raise
  _release(writer)
  # The writer itself says nothing of a full disk.
  if not os.path.isfile(unfinished) or not os.path.getsize(unfinished):
    raise StorageError(f'{unfinished} could not be written. Expected room for '
                       'the video and the permission to write it.')
  os.replace(unfinished, path)
  return Video(path, steps + 1, steps, 1)


def _release(writer: Any) -> None:
  if writer is not None:
    writer.release()


def _steps_per_second(task: TaskSpec) -> float:
  if task.family == 'atari':
    return _EMULATOR_FRAMES_PER_SECOND / task.frame_skip
  return _OTHER_STEPS_PER_SECOND


def _ending(path: str) -> str:
  return os.path.splitext(path)[1].lower()


def _writer_of(ending: str) -> Any:
  """The module that writes a format; drawing is an extra."""
  try:
    if ending == '.gif':
      from xtra_tf.evaluation import animation
      return animation
    import cv2
    return cv2
  except ImportError as error:
    raise UsageError(
        f'A video {ending} needs the package {error.name}, which is not '
        'installed. Expected the extra `report`: pip install '
        '"xtra-tf[report]".') from error
