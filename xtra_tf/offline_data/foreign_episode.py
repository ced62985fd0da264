"""Whole episodes of another format as rows of an episode log.

Minari and RLDS agree in what they hold: R observations and R - 1 actions,
rewards and flags between them, those at t belonging to the action at t.
"""

import dataclasses
from typing import Any, Iterator, Mapping, NamedTuple, Optional, Protocol, Tuple

import numpy as np

from xtra_tf.episodes import StepRow
from xtra_tf.episodes.schema import ENDS, Header
from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.offline_data.export_header import row_columns
from xtra_tf.tasks import TaskSpec, get_task

_MAX_SIDE = 512  # pixels; an Atari screen has 210 x 160
STICKY_UNKNOWN = 'Whether actions were sticky is not recorded; taken for no.'


class Frames(Protocol):
  """R observations by their index; may be decoded when asked for."""

  def __getitem__(self, step: int, /) -> np.ndarray:
    ...


class ForeignEpisode(NamedTuple):
  """R = T + 1 observations and what happened between them."""
  observations: Frames
  actions: np.ndarray  # <int>[T] ids of the task family
  rewards: np.ndarray  # <float>[T] raw
  end: str  # one of ENDS
  rows: Optional[Mapping[str, np.ndarray]]  # {column: [R, ...]} of our exports


def foreign_task(path: str, task: str, shape: Tuple[int, ...], dtype: str,
                 **settings: Any) -> TaskSpec:
  """The task as the data show it.

  Args:
    path: of the data, for messages.
    task: what was played.
    shape: of one observation.
    dtype: of one observation.
    **settings: fields of the TaskSpec that the data know better.

  Raises:
    UsageError: no such task.
    IncompatibleDataError: observations of this kind do not belong to it.
  """
  spec = get_task(task)
  if spec.family == 'atari':
    if (dtype != 'uint8' or len(shape) != 3 or shape[2] not in (1, 3)
        or not 8 <= min(shape[:2]) <= max(shape[:2]) <= _MAX_SIDE):
      raise IncompatibleDataError(
          f'{path}: the observations are {dtype}{list(shape)}. Expected single '
          f'frames uint8[H, W, 1] or [H, W, 3] of 8 to {_MAX_SIDE} pixels a '
          f'side for {task}.')
    return dataclasses.replace(spec, observation_shape=shape, **settings)
  if (shape, dtype) != (spec.observation_shape, spec.observation_dtype):
    raise IncompatibleDataError(
        f'{path}: the observations are {dtype}{list(shape)}. Expected '
        f'{spec.observation_dtype}{list(spec.observation_shape)} for {task}.')
  return dataclasses.replace(spec, **settings)


def family_ids(spec: TaskSpec, count: Optional[int]) -> np.ndarray:
  """Which action of the task family each number in the data means.

  Args:
    spec: of the task.
    count: of actions that the data say they have; None if they do not say.

  Returns:
    <int>[count] ids; of an Atari game without a count, its minimal set.

  Raises:
    IncompatibleDataError: the task has no set of so many actions.
  """
  every, legal = np.arange(spec.num_actions), np.array(spec.legal_actions)
  sets = {len(every): every}
  if spec.family == 'atari':
    sets = {**sets, len(legal): legal}
    count = len(legal) if count is None else count
  elif count is None:
    count = len(every)
  if count not in sets:
    raise IncompatibleDataError(
        f'The data have {count} actions, but {spec.name} has '
        f'{" or ".join(map(str, sorted(sets)))}: are these the data of another '
        'game?')
  return sets[count]


def mapped_actions(spec: TaskSpec, ids: np.ndarray, actions: np.ndarray,
                   place: str) -> np.ndarray:
  """The actions of an episode as ids of the task family.

  Args:
    spec: of the task.
    ids: <int>[count], as of `family_ids`.
    actions: <int>[T] numbers of the data.
    place: file and record, for the message.

  Raises:
    IncompatibleDataError: the game has no such action.
  """
  inside = (actions >= 0) & (actions < len(ids))
  legal = spec.legal_mask()[ids[np.where(inside, actions, 0)]]
  wrong = ~(inside & legal)
  if wrong.any():
    step = int(np.argmax(wrong))
    accepted = [n for n, i in enumerate(ids) if spec.legal_mask()[i]]
    raise IncompatibleDataError(
        f'{place}, step {step}: the action is {int(actions[step])}. Expected '
        f'one of {accepted} for {spec.name}: are these the data of another '
        'game?')
  return ids[actions]


def check_rewards(path: str, record: int, rewards: np.ndarray) -> None:
  """Refuses what is no finite float32.

  Raises:
    DataFileError: naming the step.
  """
  with np.errstate(over='ignore'):
    finite = np.isfinite(rewards.astype(np.float32))
  if not finite.all():
    step = int(np.argmin(finite))
    raise DataFileError(path, f'the reward of step {step} is {rewards[step]}.',
                        record=record, hint='Expected a finite number.')


def check_rows(path: str, record: int, header: Header, length: int,
               rows: Mapping[str, np.ndarray]) -> None:
  """Refuses columns of ours that do not fit their episode.

  Args:
    path: of the file, for messages.
    record: the episode, for messages.
    header: which columns there have to be.
    length: R, rows of the episode.
    rows: {column: [R, ...]}.

  Raises:
    DataFileError: a column is missing, or of another shape or type.
  """
  for name, dtype in row_columns(header).items():
    shape = (length, header.task.num_actions) if name == 'search' else (length,)
    found = rows.get(name)
    if found is None:
      raise DataFileError(path, f'the column {name} is missing.',
                          record=record, hint='Copy the data set anew.')
    if found.shape != shape or found.dtype != dtype:
      raise DataFileError(
          path, f'the column {name} is {found.dtype}{list(found.shape)}.',
          record=record, hint=f'Expected {dtype}{list(shape)}.')


def check_end(path: str, record: int, end: Any) -> str:
  """The end of an episode of ours.

  Raises:
    DataFileError: it is none of the three.
  """
  if end not in ENDS:
    raise DataFileError(path, f'the episode ends {end!r}.', record=record,
                        hint=f'Expected one of {", ".join(ENDS)}.')
  return end


def episode_rows(spec: TaskSpec, episode: ForeignEpisode, env_step: int
                 ) -> Iterator[StepRow]:
  """The rows of an episode, the final observation last.

  Args:
    spec: of the task; `clip_reward` says what is learned.
    episode: checked already.
    env_step: steps of the task before this episode.
  """
  length = len(episode.actions)
  for step in range(length + 1):
    real = step < length
    raw = float(episode.rewards[step]) if real else 0.
    last = step == length - 1
    row = StepRow(
        observation=episode.observations[step],
        action=int(episode.actions[step]) if real else 0, search=None,
        reward=float(np.sign(raw)) if spec.clip_reward else raw,
        raw_reward=raw, terminal=last and episode.end == 'terminal',
        truncated=last and episode.end == 'truncated', life_loss=False,
        real=real, root_value=None, bootstrap_value=None, has_search=False,
        env_step=env_step + step)
    if episode.rows is not None:
      row = row._replace(**{
          name: values[step] for name, values in episode.rows.items()})
    yield row


def check_name(path: str, what: str, name: str) -> str:
  """A name out of a data file that becomes part of a path.

  Raises:
    DataFileError: it would lead out of its folder.
  """
  if not name or '/' in name or '\\' in name or '\0' in name or (
      name.startswith('.')):
    raise DataFileError(path, f'the {what} is {name[:80]!r}.',
                        hint='Expected a name without any path in it.')
  return name

