"""Figures of scores: final evaluations and learning curves on the target."""

from typing import Dict, List, Optional, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
import numpy as np

from xtra_tf.evaluation import figure_style as style
from xtra_tf.evaluation import formatting
from xtra_tf.evaluation.comparison import Comparison
from xtra_tf.evaluation.run_files import RunFiles, StageFiles

# A reference further away than this many data ranges is named, not drawn.
_FAR = 1.2
_JITTER = 0.24  # of a bar's height, for the dots of single games
_GAMES_SMOOTHED = 10
_BARS_WIDTH = 7.  # inches; the animation stands beside


@style.styled
def score_bars(run: RunFiles, comparison: Comparison) -> Figure:
  """Mean score of each method, every game as a dot, with reference lines."""
  shown = [m for m in comparison.methods if m.record is not None]
  figure, axes = style.panels(1, 1, 1.2 + 0.66 * len(shown),
                              width=_BARS_WIDTH)
  axis = axes[0, 0]
  values = [r for m in shown for r in m.returns] + [0.]
  low, high = min(values), max(values)
  reach = _FAR * (high - low)
  for row, method in enumerate(reversed(shown)):
    color = style.METHOD_COLORS[method.kind]
    axis.barh(row, method.mean, height=0.56, color=color, alpha=0.22)
    if method.interval is not None:
      axis.hlines(row, method.interval.low, method.interval.high, color=color,
                  linewidth=5, alpha=0.55, zorder=3)
    # Spread by a fixed pattern: equal data give an equal picture.
    offsets = np.resize([0., 1., -1., .5, -.5], len(method.returns))
    axis.plot(method.returns, row + _JITTER * offsets, linestyle='',
              marker='o', markersize=3.6, color=color, alpha=0.75,
              markeredgewidth=0, zorder=4)
    axis.plot([method.mean] * 2, [row - 0.3, row + 0.3], color=color,
              linewidth=2.4, zorder=5, solid_capstyle='butt')
    axis.annotate(formatting.score(method.mean), (method.mean, row + 0.3),
                  xytext=(0, 2), textcoords='offset points', ha='center',
                  color=color, fontsize=9, fontweight='bold', zorder=6)
  axis.set_yticks(range(len(shown)),
                  [style.METHOD_NAMES[m.kind] for m in reversed(shown)],
                  fontsize=9, color=style.INK)
  axis.grid(axis='y', visible=False)
  axis.set_ylim(-0.6, len(shown) - 0.2)
  near, far = _split_references(comparison, low - reach, high + reach,
                                ('left of', 'right of'))
  drawn = [value for _, value, _ in near]
  # Equal scores in all games leave no range to draw in.
  span = max([high, *drawn]) - min([low, *drawn]) or 1.
  axis.set_xlim(min([low, *drawn]) - (0.03 * span if low < 0 else 0),
                max([high, *drawn]) + 0.08 * span)
  for label, value, color in near:
    axis.axvline(value, color=color, linewidth=1.2, linestyle=(0, (4, 3)),
                 zorder=2)
    axis.annotate(f'{label} {formatting.score(value)}', (value, 1),
                  xycoords=('data', 'axes fraction'), xytext=(0, 4),
                  textcoords='offset points', ha='center', color=color,
                  fontsize=8.5)
  if far:
    axis.annotate('   '.join(far), (1, 0), xycoords='axes fraction',
                  xytext=(0, 5), textcoords='offset points', ha='right',
                  va='bottom', color=style.QUIET, fontsize=8.5)
  axis.set_xlabel(f'raw score in {run.target}, whole games')
  axis.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')
  return figure


def _split_references(comparison: Comparison, low: float, high: float,
                      sides: Tuple[str, str]
                      ) -> Tuple[List[Tuple[str, float, str]], List[str]]:
  """References that fit on the axis, and words about those that do not."""
  near, far = [], []
  for kind, value in (('random', comparison.random),
                      ('human', comparison.human)):
    if value is None:
      continue
    label = (comparison.human_name if kind == 'human'
             else style.METHOD_NAMES[kind])
    if low <= value <= high:
      near.append((label, value, style.METHOD_COLORS[kind]))
    else:
      side = sides[value > high]
      far.append(f'{label} {formatting.score(value)}: {side} this scale')
  return near, far


@style.styled
def learning_curves(run: RunFiles, comparison: Comparison) -> Figure:
  """Training games and evaluations of both online stages, by env steps."""
  figure, axes = style.panels(1, 1, 3.9)
  axis = axes[0, 0]
  ends: List[Tuple[float, str, str]] = []
  seen: List[float] = []
  for kind, stage in reversed(list(run.online().items())):
    trained = _training_curve(axis, run, kind, stage, seen)
    evaluated = _evaluation_points(axis, run, kind, stage, seen)
    # One label a method, at its training curve where it has one.
    ends += trained or evaluated
  student = comparison.method('student')
  steps = [s.env_steps for s in run.online().values() if s.env_steps]
  last = max(steps, default=1)
  if student.mean is not None:
    axis.plot([0], [student.mean], marker='D', markersize=6, clip_on=False,
              color=style.METHOD_COLORS['student'], zorder=6)
    seen.append(student.mean)
    ends.append((student.mean, 'zero-shot student (at 0)',
                 style.METHOD_COLORS['student']))
  if seen:
    spread = max(max(seen) - min(seen), 1e-9)
    near, far = _split_references(
        comparison, min(seen) - _FAR * spread, max(seen) + _FAR * spread,
        ('below', 'above'))
    for label, value, color in near:
      axis.axhline(value, color=color, linewidth=1.2, linestyle=(0, (4, 3)),
                   zorder=1)
      ends.append((value, f'{label.lower()} {formatting.score(value)}', color))
    if far:
      axis.annotate('   '.join(far), (0.01, 0.985), xycoords='axes fraction',
                    va='top', color=style.QUIET, fontsize=8.5)
  style.count_axis(axis, 'environment steps on the target (agent steps, 4 '
                   'emulator frames each)' if ':' not in run.target else
                   'environment steps on the target', last)
  axis.set_ylabel('raw score')
  style.score_format(axis)
  axis.margins(y=0.08)
  axis.autoscale_view()
  figure.draw_without_rendering()
  style.label_ends(axis, ends)
  return figure


def _training_curve(axis: Axes, run: RunFiles, kind: str, stage: StageFiles,
                    seen: List[float]) -> List[Tuple[float, str, str]]:
  """Each training game as a dot, and the mean of the last ten as a line."""
  steps, returns = stage.series(f'collect/{run.target}/return_raw',
                                x='env_steps')
  if not len(steps):
    return []
  color = style.METHOD_COLORS[kind]
  axis.plot(steps, returns, linestyle='', marker=style.METHOD_MARKERS[kind],
            markersize=3.2, markeredgewidth=0, color=color, alpha=0.35)
  smoothed = formatting.smooth(list(returns), _GAMES_SMOOTHED)
  axis.plot(steps, smoothed, color=color, zorder=3)
  seen.extend(returns)
  return [(smoothed[-1], style.METHOD_NAMES[kind], color)]


def _evaluation_points(axis: Axes, run: RunFiles, kind: str,
                       stage: StageFiles, seen: List[float]
                       ) -> List[Tuple[float, str, str]]:
  """Evaluations: while training (metrics) and at the end (results)."""
  points: Dict[float, float] = {}
  for step, mean in zip(*stage.series(f'eval/{run.target}/return_mean',
                                      x='env_steps')):
    points[step] = mean
  final = run.final_result(kind)
  if final is not None:
    points[float(final.env_steps)] = float(np.mean(final.returns))
  if not points:
    return []
  ordered = sorted(points.items())
  axis.plot(*zip(*ordered), linestyle=(0, (1, 1.6)), linewidth=1.2,
            marker=style.METHOD_MARKERS[kind], markersize=7,
            markerfacecolor='white', markeredgewidth=1.8, clip_on=False,
            color=style.METHOD_COLORS[kind], zorder=5)
  seen.extend(points.values())
  return [(ordered[-1][1], style.METHOD_NAMES[kind],
           style.METHOD_COLORS[kind])]


@style.styled
def offline_returns(run: RunFiles) -> Optional[Figure]:
  """Games that made the offline data, one panel a source; None without."""
  found = [task for task in run.sources if len(run.stage('data', task).series(
      f'collect/{task}/return_raw')[0])]
  if not found:
    return None
  columns = min(len(found), 3)
  rows = -(-len(found) // columns)
  figure, axes = style.panels(rows, columns, 2.3 * rows)
  colors = style.task_colors(run.sources)
  for axis in list(axes.flat)[len(found):]:
    axis.set_visible(False)
  for axis, task in zip(axes.flat, found):
    _source_panel(axis, run.stage('data', task), task, colors[task])
  return figure


def _source_panel(axis: Axes, stage: StageFiles, task: str,
                  color: str) -> None:
  steps, returns = stage.series(f'collect/{task}/return_raw', x='env_steps')
  axis.plot(steps, returns, linestyle='', marker='o', markersize=3.2,
            markeredgewidth=0, color=color, alpha=0.4)
  axis.plot(steps, formatting.smooth(list(returns), _GAMES_SMOOTHED),
            color=color)
  axis.set_title(task, color=color)
  style.count_axis(axis, 'environment steps', stage.env_steps)
  style.score_format(axis)
  axis.set_ylabel('raw score')
