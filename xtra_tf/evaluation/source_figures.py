"""Figures of the source tasks: scores of all models on them, agreement."""

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
import numpy as np

from xtra_tf.evaluation import figure_style as style
from xtra_tf.evaluation import formatting, source_tables
from xtra_tf.evaluation.comparison import human_name, random_and_human
from xtra_tf.evaluation.run_files import RunFiles

# {task: (steps, values) of each run}
Lines = Mapping[str, Sequence[Tuple[np.ndarray, np.ndarray]]]
_COLORS = {'data': '#8a9099', 'teacher': '#7a4ea3',
           'student': style.METHOD_COLORS['student'],
           'finetune': style.METHOD_COLORS['finetune']}
_LABELS = {'data': 'Data', 'teacher': 'Teacher', 'student': 'Student',
           'finetune': 'Finetuned'}


@style.styled
def scores(run: RunFiles) -> Optional[Figure]:
  """Games of all models on each source task; None where none was played."""
  shown = [task for task in run.sources if any(
      run.source_result(kind, task) for kind in source_tables.MODELS)]
  if not shown:
    return None
  columns = min(len(shown), 2)
  rows = -(-len(shown) // columns)
  figure, axes = style.panels(rows, columns, 0.3 + 2.1 * rows)
  for axis in list(axes.flat)[len(shown):]:
    axis.set_visible(False)
  for axis, task in zip(axes.flat, shown):
    _score_panel(axis, run, task)
  return figure


def _score_panel(axis: Axes, run: RunFiles, task: str) -> None:
  games: Dict[str, Sequence[float]] = {}
  data = source_tables.data_return(run, task)
  if data is not None:
    games['data'] = [data]
  for kind in source_tables.MODELS:
    record = run.source_result(kind, task)
    if record is not None:
      games[kind] = record.returns
  names = list(reversed(games))
  for row, kind in enumerate(names):
    color, mean = _COLORS[kind], float(np.mean(games[kind]))
    if kind != 'data':
      axis.plot(games[kind], [row] * len(games[kind]), linestyle='',
                marker='o', markersize=4, markeredgewidth=0, alpha=0.5,
                color=color)
    axis.plot([mean] * 2, [row - 0.32, row + 0.32], color=color, linewidth=2.6,
              solid_capstyle='butt', zorder=4)
    axis.annotate(formatting.score(mean), (mean, row + 0.32), xytext=(0, 1),
                  textcoords='offset points', ha='center', fontsize=8,
                  fontweight='bold', color=color)
  axis.set_yticks(range(len(names)), [_LABELS[kind] for kind in names],
                  color=style.INK)
  axis.set_ylim(-0.6, len(names) - 0.2)
  axis.grid(axis='y', visible=False)
  axis.xaxis.set_major_locator(style.few_ticks())
  axis.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')
  axis.set_title(task, color=style.task_colors(run.sources)[task])
  axis.set_xlabel(_references(axis, task, [x for g in games.values()
                                           for x in g]))


def _references(axis: Axes, task: str, values: Sequence[float]) -> str:
  """Draws random play and the human where they fit; the axis' label."""
  reach = 0.6 * (max(values) - min(values))
  words = []
  for name, value, kind in zip(('random play', human_name(task).lower()),
                               random_and_human(task), ('random', 'human')):
    if value is None:
      continue
    words.append(f'{name} {formatting.score(value)}')
    if min(values) - reach <= value <= max(values) + reach:
      axis.axvline(value, color=style.METHOD_COLORS[kind], linewidth=1.2,
                   linestyle=(0, (4, 3)), zorder=1)
      words[-1] += ' (dashed)'
  return 'raw score' + (f'; {", ".join(words)}' if words else '')


def run_agreement(run: RunFiles) -> Optional[Figure]:
  """`agreement` of one run."""
  prefix = 'transfer/agreement/'
  stages = {'Student while distilled': run.stage('student'),
            'Model while finetuned': run.stage('finetune', run.target)}
  return agreement({title: {
      task: [pair] for task in run.sources
      for pair in [stage.series(prefix + task)] if len(pair[0])}
                    for title, stage in stages.items()}, run.sources)


@style.styled
def agreement(panels: Mapping[str, Lines],
              tasks: Sequence[str]) -> Optional[Figure]:
  """Agreement with each task's teacher over gradient steps.

  Args:
    panels: {title: lines}; those without any line are left out.
    tasks: all source tasks, for their colours.

  Returns:
    A line a run and task; None where nothing was recorded.
  """
  drawn = {title: lines for title, lines in panels.items()
           if any(lines.values())}
  if not drawn:
    return None
  figure, axes = style.panels(1, len(drawn), 2.9, sharey=True)
  colors = style.task_colors(tasks)
  labels: List[Tuple[Axes, List[Tuple[float, str, str]]]] = []
  for axis, (title, lines) in zip(axes[0], drawn.items()):
    ends = []
    for task, runs in lines.items():
      for steps, values in runs:
        axis.plot(steps, values, color=colors[task], linewidth=1.2)
      if runs:
        ends.append((float(np.mean([values[-1] for _, values in runs])), task,
                     colors[task]))
    labels.append((axis, ends))
    axis.set_title(title)
    style.count_axis(axis, 'gradient steps')
  axes[0, 0].set_ylabel("the teacher's best action\nis the model's")
  axes[0, 0].set_ylim(0., 1.)
  axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1.))
  figure.draw_without_rendering()
  for axis, ends in labels:
    style.label_ends(axis, ends)
  return figure
