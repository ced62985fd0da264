"""The figures of an experiment's report."""

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
import numpy as np

from xtra_tf.evaluation import figure_style as style
from xtra_tf.evaluation.aggregates import Interval
from xtra_tf.evaluation.comparison import random_and_human
from xtra_tf.evaluation.experiment_curves import Curve, Forgetting
from xtra_tf.evaluation.experiment_records import TargetRecord
from xtra_tf.evaluation.experiment_runs import Experiment
from xtra_tf.evaluation.experiment_scores import (
  BASELINE,
  Scores,
  TargetScore,
  paper_method,
)

_COLUMNS = 2  # of panels, one a target
_AGGREGATES: Tuple[Tuple[str, str], ...] = (
    ('mean_improvement', 'mean improvement'),
    ('median_improvement', 'median improvement'),
    ('mean', 'human-normalised mean'), ('median', 'human-normalised median'),
    ('iqm', 'human-normalised IQM'), ('optimality_gap', 'optimality gap'),
    ('probability', 'P(better than EfficientZero)'))


def _looks(experiment: Experiment) -> Dict[str, Tuple[str, str]]:
  """EfficientZero and XTRA look the same in every report."""
  first = (BASELINE, 'XTRA')
  return style.method_looks([m.name for m in sorted(
      experiment.methods, key=lambda m: first.index(str(paper_method(m)))
      if paper_method(m) in first else len(first))])


def _target_panels(targets: Sequence[TargetRecord], height: float
                   ) -> Tuple[Figure, List[Axes]]:
  """One panel a target; panels that are left over are hidden."""
  columns = min(len(targets), _COLUMNS)
  rows = -(-len(targets) // columns)
  figure, axes = style.panels(rows, columns, height * rows)
  for axis in list(axes.flat)[len(targets):]:
    axis.set_visible(False)
  for axis, target in zip(axes.flat, targets):
    axis.set_title(target.name)
  return figure, list(axes.flat)[:len(targets)]


@style.styled
def scores(found: Scores) -> Figure:
  """Each method on each target: runs as dots, mean, interval, the paper."""
  experiment = found.experiment
  looks = _looks(experiment)
  figure, axes = _target_panels(experiment.targets,
                                0.95 + 0.34 * len(experiment.methods))
  for axis, target in zip(axes, experiment.targets):
    rows = [found.of(method, target) for method in experiment.methods]
    for row, score in enumerate(rows):
      _score_row(axis, row, score, *looks[score.method.name])
    axis.set_yticks(range(len(rows)), [s.method.label for s in rows],
                    color=style.INK)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(axis='y', visible=False)
    if _references(axis, target.name, rows):
      axis.set_title(target.name, pad=16)  # above the references' names
    axis.set_xlabel('raw score')
    axis.xaxis.set_major_locator(style.few_ticks())
    axis.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}' if abs(
        x) >= 10 or x == int(x) else f'{x:,.1f}')
  return figure


def _score_row(axis: Axes, row: int, score: TargetScore, color: str,
               marker: str) -> None:
  if score.mean is None:
    axis.annotate('not run', (0.02, row), xycoords=('axes fraction', 'data'),
                  va='center', color=style.QUIET, fontsize=8)
    return
  if score.interval is not None:
    axis.hlines(row, score.interval.low, score.interval.high, color=color,
                linewidth=6, alpha=0.3)
  axis.plot(score.scores, [row] * len(score.scores), linestyle='',
            marker=marker, markersize=5, color=color, alpha=0.75,
            markeredgewidth=0)
  axis.plot([score.mean] * 2, [row - 0.32, row + 0.32], color=color,
            linewidth=2.4, solid_capstyle='butt')


def _references(axis: Axes, target: str, rows: Sequence[TargetScore]) -> bool:
  """Random and human play, dashed, where they are near; whether any is."""
  values = [score for row in rows for score in row.scores]
  if not values:
    return False
  drawn = False
  low, high = min(values), max(values)
  reach = (high - low) or abs(high) or 1.
  for name, value in zip(('random', 'human'), random_and_human(target)):
    if value is not None and low - reach <= value <= high + reach:
      axis.axvline(value, color=style.METHOD_COLORS[name], linewidth=1.2,
                   linestyle=(0, (4, 3)), zorder=0)
      axis.annotate(name, (value, 1), xycoords=('data', 'axes fraction'),
                    xytext=(0, 2), textcoords='offset points', ha='center',
                    fontsize=7.5, color=style.METHOD_COLORS[name])
      drawn = True
  return drawn


@style.styled
def aggregates(found: Scores) -> Optional[Figure]:
  """Aggregates over targets with intervals; None where there are none."""
  experiment = found.experiment
  values: Dict[str, Dict[str, Interval]] = {}
  for method in experiment.methods:
    row = found.aggregate(method)
    named = dict(row.human)
    if row.improvement is not None:
      named['mean_improvement'], named['median_improvement'] = row.improvement
    if row.probability is not None:
      named['probability'] = row.probability
    values[method.name] = named
  shown = [(name, title) for name, title in _AGGREGATES
           if any(name in named for named in values.values())]
  if not shown:
    return None
  columns = min(len(shown), 4)
  rows = -(-len(shown) // columns)
  figure, axes = style.panels(rows, columns,
                              rows * (0.75 + 0.26 * len(values)), sharey=True)
  for axis in list(axes.flat)[len(shown):]:
    axis.set_visible(False)
  looks = _looks(experiment)
  for axis, (name, title) in zip(axes.flat, shown):
    for row_number, (method_name, named) in enumerate(values.items()):
      if name in named:
        _interval(axis, row_number, named[name], *looks[method_name])
    axis.set_title(title, fontsize=8.5)
    axis.grid(axis='y', visible=False)
    axis.margins(x=0.12)
    axis.xaxis.set_major_locator(style.few_ticks())
    anchor = {'mean_improvement': 1., 'median_improvement': 1.,
              'probability': 0.5}.get(name)
    if anchor is not None:
      axis.axvline(anchor, color=style.QUIET, linewidth=1,
                   linestyle=(0, (4, 3)), zorder=0)
  for axis in axes[:, 0]:
    axis.set_yticks(range(len(values)),
                    [experiment.label(name) for name in values],
                    color=style.INK)
  axes[0, 0].set_ylim(len(values) - 0.4, -0.6)
  return figure


def _interval(axis: Axes, row: int, interval: Interval, color: str,
              marker: str) -> None:
  if math.isfinite(interval.low):
    axis.hlines(row, interval.low, interval.high, color=color, linewidth=6,
                alpha=0.3)
  axis.plot([interval.estimate], [row], marker=marker, markersize=6,
            color=color, linestyle='')


@style.styled
def learning_curves(experiment: Experiment,
                    curves: Sequence[Sequence[Curve]], marks: bool
                    ) -> Optional[Figure]:
  """Mean over runs with its band, a thin line per run; None without curves.

  Args:
    experiment: whose.
    curves: of each target, in their order.
    marks: whether each point of the mean is marked (evaluations are).
  """
  if not any(curves):
    return None
  looks = _looks(experiment)
  figure, axes = _target_panels(experiment.targets, 2.9)
  for axis, target, found in zip(axes, experiment.targets, curves):
    for curve in found:
      _curve(axis, curve, *looks[curve.method.name], marks)
    if not found:
      style.say_nothing_here(axis, 'no run has a curve')
      continue
    _horizontal_random(axis, target.name, found)
    style.count_axis(axis, 'environment steps on the target')
    style.score_format(axis)
    axis.set_ylabel('raw score')
  handles, labels = _legend(experiment, curves, looks)
  figure.legend(handles, labels, loc='outside lower center', ncols=3)
  return figure


def _curve(axis: Axes, curve: Curve, color: str, marker: str,
           marks: bool) -> None:
  point: Dict[str, Any] = {'marker': marker, 'markersize': 4} if marks else {}
  lone = len(curve.steps) < 2  # a zero-shot model: one evaluation a run
  for seed in curve.seeds:
    axis.plot(seed.steps, seed.values, color=color, linewidth=0.8, alpha=0.4,
              linestyle='' if lone else '-',
              marker=marker if lone else '', markersize=4,
              clip_on=not lone)
  if curve.low is not None and curve.high is not None:
    axis.fill_between(curve.steps, curve.low, curve.high, color=color,
                      alpha=0.16, linewidth=0)
  if lone:
    # Nothing is learned on the target: the same score at every step.
    axis.axhline(float(curve.mean.mean()), color=color, linewidth=1.2,
                 linestyle=(0, (1, 2)), zorder=1)
  elif len(curve.seeds) > 1:
    axis.plot(curve.steps, curve.mean, color=color, zorder=3, **point)


def _horizontal_random(axis: Axes, target: str,
                       curves: Sequence[Curve]) -> None:
  random = random_and_human(target)[0]
  values = np.concatenate([s.values for c in curves for s in c.seeds])
  reach = (values.max() - values.min()) or abs(values.max()) or 1.
  if random is not None and abs(random - values.min()) < reach:
    axis.axhline(random, color=style.METHOD_COLORS['random'], linewidth=1.1,
                 linestyle=(0, (4, 3)), zorder=0)
    axis.annotate('random', (1, random), xycoords=('axes fraction', 'data'),
                  xytext=(-2, 2), textcoords='offset points', ha='right',
                  fontsize=7.5, color=style.METHOD_COLORS['random'])


def _legend(experiment: Experiment, curves: Sequence[Sequence[Curve]],
            looks: Dict[str, Tuple[str, str]]
            ) -> Tuple[List[Line2D], List[str]]:
  """One entry a method, with the number of runs behind its curves."""
  handles: List[Line2D] = []
  labels = []
  for method in experiment.methods:
    counts = sorted({len(c.seeds) for found in curves for c in found
                     if c.method.name == method.name})
    if not counts:
      continue
    color, marker = looks[method.name]
    handles.append(style.legend_line(color, marker))
    band = any(c.low is not None for found in curves for c in found
               if c.method.name == method.name)
    labels.append(f'{method.label}, n = '
                  f'{" or ".join(map(str, counts))}'
                  f'{"" if band else ", no band"}')
  return handles, labels


@style.styled
def forgetting(experiment: Experiment, rows: Sequence[Forgetting]
               ) -> Optional[Figure]:
  """Score after finetuning / score before, source by source; None without."""
  drawn = [row for row in rows if row.before and row.after
           and row.before[0] > 0]
  if not drawn:
    return None
  names = list(dict.fromkeys(f'{row.source} (target {row.target})'
                             for row in drawn))
  looks = _looks(experiment)
  figure, axes = style.panels(1, 1, 0.9 + 0.24 * len(names))
  axis = axes[0, 0]
  methods = list(dict.fromkeys(row.method.name for row in drawn))
  for row in drawn:
    color, marker = looks[row.method.name]
    offset = 0.5 * ((methods.index(row.method.name) + 0.5) / len(methods) - 0.5)
    before, after = row.before, row.after
    assert before is not None and after is not None
    axis.plot([after[0] / before[0]],
              [names.index(f'{row.source} (target {row.target})') + offset],
              color=color, marker=marker, markersize=6, linestyle='')
  axis.axvline(1., color=style.QUIET, linewidth=1, linestyle=(0, (4, 3)))
  axis.set_yticks(range(len(names)), names, color=style.INK)
  axis.set_ylim(len(names) - 0.4, -0.6)
  axis.set_xlim(left=0)
  axis.set_xlabel("score after finetuning / the student's before (1: nothing "
                  'is forgotten)')
  axis.legend([style.legend_line(*looks[name], line=False)
               for name in methods],
              [experiment.label(name) for name in methods],
              loc='center left', bbox_to_anchor=(1, 0.5))
  return figure
