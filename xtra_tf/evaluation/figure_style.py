"""One look for all figures: colours of methods and tasks, axes, saving."""

import functools
import io
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
import numpy as np

WIDTH = 9.2  # inches, of a figure as wide as the page
_DPI = 150

INK = '#22262b'
QUIET = '#6d747d'
GRID = '#e6e8eb'
BAND = '#eef1f4'

METHOD_NAMES = {
    'finetune': 'XTRA, finetuned', 'scratch': 'EfficientZero from scratch',
    'student': 'Student, zero-shot', 'cloning': 'Behaviour cloning',
    'random': 'Random play', 'human': 'Human'}
# Distinguishable without colour too: each method has a marker of its own.
METHOD_COLORS = {'finetune': '#1d5d9b', 'scratch': '#d0611a',
                 'student': '#3a8a5f', 'cloning': '#7a4ea3',
                 'random': '#8a9099', 'human': '#3a3f47'}
METHOD_MARKERS = {'finetune': 'o', 'scratch': 's', 'student': 'D',
                  'cloning': '^',
                  'random': 'x', 'human': '+'}
# Of an experiment's methods, in the order in which they are shown.
_METHOD_LOOKS = (('#d0611a', 's'), ('#1d5d9b', 'o'), ('#3a8a5f', 'D'),
                 ('#7a4ea3', '^'), ('#b5395b', 'v'), ('#b5830b', 'P'),
                 ('#0e8587', 'X'), ('#5b6c2f', '<'), ('#8c564b', '>'),
                 ('#6b6b6b', 'h'))
_TASK_COLORS = ('#7a4ea3', '#b5830b', '#0e8587', '#b5395b', '#5b6c2f',
                '#8c564b', '#4f63b5', '#6b6b6b')

_SETTINGS: Dict[Any, Any] = {
    'font.family': 'DejaVu Sans', 'font.size': 9, 'axes.titlesize': 9.5,
    'axes.titleweight': 'bold', 'axes.titlelocation': 'left',
    'axes.labelsize': 8.5, 'axes.labelcolor': QUIET,
    'axes.edgecolor': '#b9bec5',
    'axes.spines.top': False, 'axes.spines.right': False, 'axes.grid': True,
    'axes.axisbelow': True, 'grid.color': GRID, 'grid.linewidth': 0.8,
    'xtick.color': QUIET, 'ytick.color': QUIET, 'xtick.labelsize': 8,
    'ytick.labelsize': 8, 'text.color': INK, 'axes.titlecolor': INK,
    'legend.frameon': False, 'legend.fontsize': 8.5, 'lines.linewidth': 1.8,
    'figure.facecolor': 'white', 'axes.facecolor': 'white',
}


def task_colors(tasks: Sequence[str]) -> Dict[str, str]:
  """{task: colour}, the same in every figure of a run."""
  return {task: _TASK_COLORS[index % len(_TASK_COLORS)]
          for index, task in enumerate(tasks)}


def method_looks(methods: Sequence[str]) -> Dict[str, Tuple[str, str]]:
  """{method: (colour, marker)}, the same in every figure of an experiment."""
  return {method: _METHOD_LOOKS[index % len(_METHOD_LOOKS)]
          for index, method in enumerate(methods)}


def styled(draw: Callable[..., Any]) -> Callable[..., Any]:
  """Lets a function draw under our settings, and leaves the user's alone."""

  @functools.wraps(draw)
  def under_settings(*args: Any, **kwargs: Any) -> Any:
    with matplotlib.rc_context(_SETTINGS):
      return draw(*args, **kwargs)

  return under_settings


def panels(rows: int, columns: int, height: float, width: float = WIDTH,
           **kwargs: Any) -> Tuple[Figure, np.ndarray]:
  """A figure of `rows` x `columns` axes, and the axes <object>[rows, columns].

  No pyplot: that would keep every figure alive in a global list.

  Args:
    rows: of panels.
    columns: of panels.
    height: of the figure, inches.
    width: of the figure, inches.
    **kwargs: to `Figure.subplots`.
  """
  figure = Figure(figsize=(width, height), layout='constrained')
  axes = figure.subplots(rows, columns, squeeze=False, **kwargs)
  for axis in axes.flat:
    axis.tick_params(length=0)
  return figure, axes


@styled
def to_png(figure: Figure) -> bytes:
  """The figure as PNG, free of dates and versions: equal data, equal bytes."""
  buffer = io.BytesIO()
  figure.savefig(buffer, format='png', dpi=_DPI, metadata={'Software': None})
  return buffer.getvalue()


@styled
def to_svg(figure: Figure) -> bytes:
  """The figure as SVG; equal data, equal bytes."""
  buffer = io.BytesIO()
  with matplotlib.rc_context({'svg.hashsalt': 'xtra_tf'}):
    figure.savefig(buffer, format='svg',
                   metadata={'Date': None, 'Creator': None})
  return buffer.getvalue()


def count_axis(axis: Axes, label: str, last: Optional[float] = None) -> None:
  """Labels an x axis that counts something, with thousands separators.

  Args:
    axis: whose x axis.
    label: what is counted.
    last: right end of the axis; left to the data if not given.
  """
  axis.set_xlabel(label)
  axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
  axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f'{x:,.0f}'))
  if last:
    axis.set_xlim(0, last)


def few_ticks() -> MaxNLocator:
  """At most five ticks, at round numbers."""
  return MaxNLocator(4)


def legend_line(color: str, marker: str, line: bool = True) -> Line2D:
  """How a method looks, for a legend."""
  return Line2D([], [], color=color, marker=marker, markersize=5,
                linestyle='-' if line else '')


def score_format(axis: Axes) -> None:
  """Thousands separators on a y axis."""
  axis.yaxis.set_major_formatter(FuncFormatter(
      lambda y, _: f'{y:,.0f}' if abs(y) >= 10 or y == int(y) else f'{y:,.1f}'))


def label_ends(axis: Axes, ends: Sequence[Tuple[float, str, str]]) -> None:
  """Direct labels right of the axes, moved apart where they would collide.

  Args:
    axis: whose y axis the heights are on.
    ends: (height, text, colour) of each label.
  """
  low, high = axis.get_ylim()
  # Heights in points; a line of text takes about 11 of them.
  tall = axis.bbox.height / axis.figure.dpi * 72
  gap = 12. / max(tall, 1.) * (high - low)
  placed: list = []
  for height, text, color in sorted(ends, key=lambda end: end[0]):
    height = min(max(height, low), high)
    if placed and height < placed[-1] + gap:
      height = placed[-1] + gap
    placed.append(height)
    axis.annotate(
        text, (1, height), xycoords=('axes fraction', 'data'), xytext=(6, 0),
        textcoords='offset points', va='center', color=color, fontsize=8.5,
        annotation_clip=False)


def say_nothing_here(axis: Axes, text: str) -> None:
  """Turns an empty panel into a sentence."""
  axis.text(0.5, 0.5, text, transform=axis.transAxes, ha='center', va='center',
            color=QUIET, fontsize=8.5, wrap=True)
  axis.set_xticks([])
  axis.set_yticks([])
  axis.grid(False)
