"""A stage's offline tables: filled once, or streamed through while training."""

from typing import Callable, Dict, Mapping, Optional

from rich.console import Console

from xtra_tf.episodes import EpisodeLog
from xtra_tf.experiments.settings import ReplaySettings
from xtra_tf.offline_data import LogStream, check_memory, load_log
from xtra_tf.replay import ReplayTables
from xtra_tf.runs import StageProgress


def _say(line: str) -> None:
  Console().print(line, soft_wrap=True, highlight=False, markup=False)


def _one(task: str, episode: int, step: int) -> float:
  del task, episode, step
  return 1.


class OfflineTables:
  """Fills the tables of logs, and keeps those moving that are too small.

  A set of more steps than its table goes through it over and over, the oldest
  steps out. How far it is depends on the gradient steps alone, so that a run
  that is gone on with finds the same steps in its tables.
  """

  def __init__(self, logs: Mapping[str, EpisodeLog], tables: ReplayTables,
               rows: Mapping[str, int], settings: ReplaySettings,
               say: Callable[[str], None] = _say,
               most_rows: Optional[Mapping[str, int]] = None,
               priority_of_new: Callable[[str, int, int], float] = _one):
    """Initializes; nothing is loaded yet.

    Args:
      logs: {task: data}.
      tables: with a table for each.
      rows: {task: rows of a batch}, on the average where they vary; the pace
        of a table that is streamed through goes by them.
      settings: of the stage.
      say: told what memory is needed, and each epoch that begins.
      most_rows: {task: most rows of a batch}, where they vary.
      priority_of_new: (task, episode, step) -> with which an item enters.
    """
    self._logs = logs
    self._tables = tables
    self._rows = rows
    self._most_rows = most_rows or rows
    self._settings = settings
    self._say = say
    self._priority_of_new = priority_of_new
    self._streams: Dict[str, LogStream] = {}

  def load(self, step: int) -> None:
    """Fills all tables, with a progress bar each.

    Args:
      step: gradient steps that were made in earlier sessions.

    Raises:
      UsageError: too little memory, or a table that is too small for a batch.
      DataFileError: a record is damaged, or a log holds no step.
    """
    if not self._logs:
      return
    need = check_memory(self._logs, self._settings.max_size)
    self._say(f'Memory of the offline tables: {need}.')
    for name, log in self._logs.items():
      self._load(name, log, step)
      self._tables.check_serves(name, self._most_rows[name])

  def advance(self, step: int) -> None:
    """Brings the tables that are streamed through up to date.

    Args:
      step: gradient steps that were made.
    """
    for name, stream in self._streams.items():
      stream.advance(self._due(name, step))
      if stream.new_epoch():
        self._say(f'{name}: epoch {stream.epoch + 1} of the data begins, '
                  f'{stream.steps:,} steps went through the table.')

  def scalars(self) -> Dict[str, float]:
    """{tag: passes through the data so far} of what is streamed."""
    return {f'replay/{name}/epochs': stream.passes
            for name, stream in self._streams.items()}

  def _load(self, name: str, log: EpisodeLog, step: int) -> None:
    writer = self._tables.writer(name, lambda episode, step: (
        self._priority_of_new(name, episode, step)))
    size = self._settings.max_size
    if log.num_steps <= size:
      with StageProgress(f'Loading {name}', total=log.num_steps,
                         unit='steps') as progress:
        load_log(log, writer, progress.update)
      writer.close()
      return
    stream = self._streams[name] = LogStream(log, writer)
    if not self._settings.repeatable:
      # Its items then have other numbers, which decide what is drawn.
      stream.seek(self._due(name, step), size)
    begin = stream.steps
    with StageProgress(f'Loading {name}, epoch {stream.epoch + 1}', total=size,
                       unit='steps') as progress:
      stream.advance(self._due(name, step), lambda steps: progress.update(
          min(steps - begin, size)))

  def _due(self, name: str, step: int) -> int:
    """Steps that shall have gone through a table."""
    drawn = step * self._rows[name]
    return (self._settings.max_size
            + int(drawn / self._settings.samples_per_step))
