"""What an experiment is doing: a live table in a terminal, lines elsewhere."""

import json
import os
import time
from typing import (
  Any,
  Callable,
  Dict,
  List,
  Mapping,
  Optional,
  Sequence,
  Union,
)

from rich import box
from rich.console import Console, ConsoleRenderable, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from xtra_tf.experiments.experiment_costs import Cost
from xtra_tf.experiments.experiment_plan import Job
from xtra_tf.runs import RunDirectory, format_bytes
from xtra_tf.runs.progress import format_time

WAITING, RUNNING, DONE, FAILED, BLOCKED = (
    'waiting', 'running', 'done', 'failed', 'blocked')
_STYLES = {WAITING: 'dim', RUNNING: 'cyan', DONE: 'green', FAILED: 'bold red',
           BLOCKED: 'red'}
_PLAIN_INTERVAL = 60.  # seconds between plain lines of a running job
_TAIL_BYTES = 8192
_SHOWN_FAILED, _SHOWN_DONE = 8, 4  # rows of the live table
_PREFIXES = ('', 'K', 'M', 'G', 'T', 'P', 'E', 'Z')


def title(job: Job) -> str:
  """A job's name for people."""
  if job.key is not None:
    return str(job.key)
  return f'{job.stage}, seed {job.seed}'


def updates_made(job: Job, root_dir: str) -> int:
  """Gradient steps that a job's metrics tell of."""
  kind, _, task = job.stage.partition('/')
  path = RunDirectory(os.path.join(root_dir, job.name)).stage(
      kind, task or None).metrics_file('learner')
  try:
    with open(path, 'rb') as file:
      file.seek(0, os.SEEK_END)
      file.seek(max(0, file.tell() - _TAIL_BYTES))
      lines = file.read().split(b'\n')[:-1]
    return int(json.loads(lines[-1])['step']) if lines else 0
  except (OSError, ValueError, KeyError):
    return 0  # not there yet


class ExperimentView:
  """Shows jobs; a context manager."""

  def __init__(self, jobs: Sequence[Job], root_dir: str,
               console: Optional[Console] = None,
               clock: Callable[[], float] = time.monotonic):
    """Initializes the view; nothing is shown yet.

    Args:
      jobs: in the order in which they are shown.
      root_dir: of the experiment, where the jobs' metrics are.
      console: where to show it; standard output if not given.
      clock: seconds from some beginning.
    """
    self._jobs = {job.name: job for job in jobs}
    self._root_dir = root_dir
    self._console = console or Console()
    self._clock = clock
    self._states: Dict[str, str] = dict.fromkeys(self._jobs, WAITING)
    self._notes: Dict[str, str] = {}
    self._begun: Dict[str, float] = {}
    self._said: Dict[str, float] = {}
    self._live: Optional[Live] = None

  def __enter__(self) -> 'ExperimentView':
    if self._console.is_terminal and not self._console.is_dumb_terminal:
      self._live = Live(console=self._console, refresh_per_second=1,
                        get_renderable=self.render)
      self._live.start(refresh=True)
    return self

  def __exit__(self, *error: Any) -> None:
    if self._live is not None:
      self._live.stop()
      self._live = None

  @property
  def states(self) -> Mapping[str, str]:
    """{job's name: state}."""
    return self._states

  def count(self, state: str) -> int:
    """Jobs in a state."""
    return list(self._states.values()).count(state)

  def set(self, name: str, state: str, note: str = '',
          quiet: bool = False) -> None:
    """Notes a job's state.

    Args:
      name: of the job.
      state: one of the constants of this module.
      note: a few words on it.
      quiet: nothing new: found so at the start.
    """
    self._states[name] = state
    self._notes[name] = note
    if state == RUNNING:
      self._begun[name] = self._said[name] = self._clock()
    if self._live is None and not quiet:
      self._say(name)

  def tick(self) -> None:
    """Lets time pass: at times a line about each running job."""
    if self._live is not None:
      return
    for name, state in self._states.items():
      if state == RUNNING and (
          self._clock() - self._said[name] >= _PLAIN_INTERVAL):
        self._said[name] = self._clock()
        self._say(name)

  def summary(self) -> str:
    """How many jobs are in which state."""
    counts = [f'{self.count(state)} {state}' for state in _STYLES
              if self.count(state)]
    return f'{len(self._jobs)} jobs: {", ".join(counts) or "none"}'

  def render(self) -> ConsoleRenderable:
    """The jobs that run or went wrong, and how many there are of the others."""
    table = Table.grid(padding=(0, 1), expand=True)
    for ratio in (2, 1, None, None, 3):
      table.add_column(no_wrap=True, overflow='ellipsis', ratio=ratio)
    for name in self._shown():
      job, state = self._jobs[name], self._states[name]
      made = updates_made(job, self._root_dir) if state == RUNNING else 0
      bar: Union[ProgressBar, Text] = Text('')
      if state == RUNNING and job.updates:
        bar = ProgressBar(total=job.updates, completed=made)
      table.add_row(
          Text(title(job)), bar, Text(state, style=_STYLES[state]),
          Text(self._time(name), style='magenta'),
          Text(self._detail(name, made), style='dim'))
    return Group(table, Text(self.summary(), style='bold'))

  def _shown(self) -> List[str]:
    """What fits a terminal: the last that ended, and all that run."""
    names: Dict[str, List[str]] = {state: [] for state in _STYLES}
    for name, state in self._states.items():
      names[state].append(name)
    return [*names[FAILED][-_SHOWN_FAILED:], *names[DONE][-_SHOWN_DONE:],
            *names[RUNNING]]

  def _time(self, name: str) -> str:
    if self._states[name] == RUNNING:
      return format_time(self._clock() - self._begun[name])
    return ''

  def _detail(self, name: str, made: int) -> str:
    job = self._jobs[name]
    if self._states[name] == RUNNING and job.updates:
      return f'{job.kind}: {made:,}/{job.updates:,} updates'
    return self._notes.get(name, '')

  def _say(self, name: str) -> None:
    job, state = self._jobs[name], self._states[name]
    over = sum(s not in (WAITING, RUNNING) for s in self._states.values())
    made = updates_made(job, self._root_dir) if state == RUNNING else 0
    parts = [f'[{over}/{len(self._jobs)}] {title(job)}: {state}',
             self._time(name), self._detail(name, made)]
    self._console.print(', '.join(p for p in parts if p), soft_wrap=True,
                        markup=False, highlight=False, emoji=False)


def format_operations(count: float) -> str:
  """E.g. `966 P`, floating-point operations with a decimal prefix."""
  power = 0
  while count >= 1000 and power < len(_PREFIXES) - 1:
    count, power = count / 1000, power + 1
  digits = f'{count:.0f}' if count >= 100 else f'{count:.3g}'
  return f'{digits} {_PREFIXES[power]}'.strip()


def plan_table(jobs: Sequence[Job], at_once: int) -> ConsoleRenderable:
  """What jobs are estimated to take, those of a method's stage as one row.

  Args:
    jobs: of the experiment.
    at_once: processes at a time, of which each needs its memory.
  """
  table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False,
                title_justify='left',
                title='Estimate, before anything is run')
  table.add_column('method or\n(shared stage)', no_wrap=True)
  for name in ('jobs', 'updates\neach', 'FLOP\neach', 'FLOP\nall',
               'games,\nFLOP', 'memory\neach', 'disk\nall'):
    table.add_column(name, justify='right', no_wrap=True)
  rows: Dict[str, List[Job]] = {}
  for job in jobs:
    rows.setdefault(job.key.method if job.key else f'({job.kind})',
                    []).append(job)
  for label, group in rows.items():
    _add_row(table, label, group)
  table.add_section()
  _add_row(table, 'all', jobs)
  memory = max(job.cost.memory for job in jobs)
  return Group(table, Text(
      f'With {at_once} at a time (--jobs), tables take '
      f'{format_bytes(at_once * memory)} of memory. Each: the largest of the '
      'row. FLOP: floating-point operations of the networks, a multiplication '
      'with an addition being two; tree search, augmentation, optimizer and '
      'emulation come on top. Evaluation games, memory (replay tables) and '
      'disk (logs, saves): at most, if every game lasted to its limit and '
      'frames could not be compressed.'))


def _add_row(table: Table, label: str, jobs: Sequence[Job]) -> None:
  total = Cost()
  for job in jobs:
    total = total.plus(job.cost)
  table.add_row(
      label, f'{len(jobs):,}', f'{max(job.updates for job in jobs):,}',
      format_operations(max(job.cost.operations for job in jobs)),
      format_operations(total.operations), format_operations(total.evaluation),
      format_bytes(total.memory), format_bytes(total.disk))
