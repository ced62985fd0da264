"""What a stage is doing: a bar in a terminal, plain lines elsewhere."""

import collections
import time
from typing import Any, Callable, Deque, Dict, Optional, Tuple, Union

from rich.console import Console, ConsoleRenderable, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

Field = Union[int, float, str]

_PLAIN_INTERVAL = 30.  # seconds between plain lines
_REFRESH_RATE = 4.  # drawings of the bar per second
_RATE_WINDOW = 60.  # seconds over which the rate is measured
_SAMPLE_INTERVAL = 0.5  # seconds between two samples of the rate


def format_time(seconds: float) -> str:
  """A duration for people, e.g. `0:01:30`, `2 d 3:04:05`."""
  days, seconds = divmod(int(seconds), 86400)
  clock = f'{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}'
  return f'{days} d {clock}' if days else clock


def format_rate(rate: float) -> str:
  """A rate for people, e.g. `1,234/s`, `12.3/s`, `0.12/s`."""
  if rate >= 100:
    return f'{rate:,.0f}/s'
  return f'{rate:.1f}/s' if rate >= 10 else f'{rate:.2f}/s'


def format_field(name: str, value: Field) -> str:
  """A live number with its name, e.g. `env steps 1,200`, `loss 2.31`."""
  name = name.replace('_', ' ')
  if isinstance(value, str):
    return f'{name} {value}'
  if float(value).is_integer() and abs(value) < 1e15:
    return f'{name} {int(value):,}'
  return f'{name} {value:,.4g}' if abs(value) < 1000 else f'{name} {value:,.0f}'


class RateMeter:
  """Things done per second, over the last minute."""

  def __init__(self, done: float, now: float):
    self._samples: Deque[Tuple[float, float]] = collections.deque(
        [(now, done)])

  def update(self, done: float, now: float) -> None:
    """Notes that `done` things are done at `now` (seconds)."""
    # The newest sample is replaced as long as it is close to the one before.
    if (len(self._samples) > 1
        and self._samples[-1][0] - self._samples[-2][0] < _SAMPLE_INTERVAL):
      self._samples.pop()
    self._samples.append((now, done))
    while len(self._samples) > 2 and now - self._samples[1][0] > _RATE_WINDOW:
      self._samples.popleft()

  @property
  def rate(self) -> Optional[float]:
    """Per second; None as long as nothing is known."""
    (begin, before), (end, after) = self._samples[0], self._samples[-1]
    return (after - before) / (end - begin) if end > begin else None


class StageProgress:
  """Shows how far a stage is, how fast, how long it still takes.

  A context manager. In a terminal there is a bar with a few live numbers below
  it; elsewhere a plain line at the beginning, at the end, and at most every 30
  seconds in between.
  """

  def __init__(self, title: str, total: int, *, unit: str = 'updates',
               start: int = 0, console: Optional[Console] = None,
               clock: Callable[[], float] = time.monotonic):
    """Initializes the display; nothing is shown yet.

    Args:
      title: what is going on, e.g. `Teacher: Alien`.
      total: things to be done in all.
      unit: what they are.
      start: how many were done in earlier sessions.
      console: where to show it; standard output if not given.
      clock: seconds from some beginning.
    """
    self.title = title
    self._total = int(total)
    self._unit = unit
    self._start = self._done = int(start)
    self._console = console or Console()
    self._clock = clock
    self._fields: Dict[str, Field] = {}
    self._live: Optional[Live] = None
    self._ended: Optional[float] = None
    self._failed = False
    # When the first thing of the session was done, and how many were then.
    self._first: Optional[Tuple[float, int]] = None

  def __enter__(self) -> 'StageProgress':
    now = self._clock()
    self._begun = self._last_line = now
    self._ended = None
    self._failed = False
    self._first = None
    self._meter = RateMeter(self._done, now)
    if self._console.is_terminal and not self._console.is_dumb_terminal:
      self._live = Live(console=self._console, refresh_per_second=_REFRESH_RATE,
                        get_renderable=self.render)
      self._live.start(refresh=True)
    else:
      self._say()
    return self

  def __exit__(self, error_type: Any, *error: Any) -> None:
    self._ended = self._clock()
    self._failed = error_type is not None
    if self._live is not None:
      self._live.stop()
      self._live = None
    else:
      self._say()

  def update(self, done: int, **fields: Field) -> None:
    """Shows a new state; cheap enough to be called at every step.

    Args:
      done: things done so far, those of earlier sessions included.
      **fields: a few live numbers, e.g. loss=2.3; they stay until replaced.
    """
    now = self._clock()
    self._done = int(done)
    if self._first is None and self._done > self._start:
      self._first = now, self._done
    self._fields.update(fields)
    self._meter.update(self._done, now)
    if self._live is None and now - self._last_line >= _PLAIN_INTERVAL:
      self._say()

  def line(self) -> str:
    """The state as a plain line."""
    share = f' ({self._done / self._total:.0%})' if self._total else ''
    parts = [f'{self.title}: {self._count()} {self._unit}{share}',
             self._pace(), self._time()]
    parts += [format_field(*item) for item in self._fields.items()]
    return ', '.join(part for part in parts if part)

  def render(self) -> ConsoleRenderable:
    """The state as a bar, and the live numbers below it."""
    grid = Table.grid(padding=(0, 1), expand=True)
    for _ in range(5):
      grid.add_column(no_wrap=True)
    grid.columns[0].overflow = 'ellipsis'
    grid.columns[1].ratio = 1
    grid.columns[1].min_width = 8
    grid.add_row(
        Text(self.title, style='bold'),
        ProgressBar(total=max(self._total, 1), completed=self._done
                    if self._total else int(self._ended is not None)),
        Text(f'{self._count()} {self._unit}', style='green'),
        Text(self._pace(), style='cyan'), Text(self._time(), style='magenta'))
    if not self._fields:
      return grid
    fields = '   '.join(format_field(*f) for f in self._fields.items())
    return Group(grid, Text(f'  {fields}', style='dim', no_wrap=True,
                            overflow='ellipsis'))

  def _count(self) -> str:
    return f'{self._done:,}/{self._total:,}'

  def _pace(self) -> str:
    if self._ended is not None:
      seconds = self._ended - self._begun
      made = self._done - self._start
      return format_rate(made / seconds) if made and seconds else ''
    rate = self._rate()
    return format_rate(rate) if rate else ''

  def _time(self) -> str:
    if self._ended is not None:
      passed = format_time(self._ended - self._begun)
      return f'stopped after {passed}' if self._failed else f'in {passed}'
    rate = self._rate()
    if not rate:
      return ''
    left = max(self._total - self._done, 0) / rate
    return f'{format_time(left)} left'

  def _rate(self) -> Optional[float]:
    """Things per second of the whole session, once it is a minute old.

    What is done now and then, as evaluations, so counts by its share. The first
    step does not count: it is traced and compiled.
    """
    if self._first is not None:
      seconds = self._clock() - self._first[0]
      made = self._done - self._first[1]
      if made and seconds > _RATE_WINDOW:
        return made / seconds
    return self._meter.rate

  def _say(self) -> None:
    self._last_line = self._clock()
    # Never wrapped: whoever reads a log file wants one line a report.
    self._console.print(self.line(), soft_wrap=True, markup=False,
                        highlight=False, emoji=False)
