"""Figures of training: task weights, losses, optimization, search, time."""

import textwrap
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
import numpy as np

from xtra_tf.evaluation import figure_style as style
from xtra_tf.evaluation import formatting
from xtra_tf.evaluation.run_files import RunFiles, StageFiles

_LOSSES = {'loss/total': 'total', 'loss/value': 'value',
           'loss/value_prefix': 'value prefix', 'loss/policy': 'policy',
           'loss/consistency': 'consistency'}
_SEARCH = {'search/root_value': 'root value',
           'search/visit_entropy': 'entropy of visits (nats)',
           'search/max_depth': 'depth of the deepest leaf',
           'search/mean_depth': 'mean depth of the leaves',
           'search/prior_to_visit_kl': 'KL(visits || prior) (nats)'}
_STALENESS = {
    'replay/age_mean': 'age of rows (environment steps)',
    'replay/policy_age_mean': 'age of who played them (updates)',
    'search/weights_behind': 'weights of collectors behind (updates)',
    'targets/weights_behind_mean': 'weights of reanalyzers behind (updates)'}
_STEPS = 'gradient steps'


def measuring_windows(run: RunFiles, last: float
                      ) -> List[Tuple[float, float]]:
  """(begin, end) of the gradient steps in which task gradients are measured.

  Args:
    run: whose settings say start, period T and window N.
    last: gradient steps of the stage; windows beyond it are left out.
  """
  start, period, window = (run.settings.get(f'TaskWeightSettings.{name}')
                           for name in ('start', 'period', 'window'))
  if not start or not period or not window:
    return []
  return [(float(begin), float(min(begin + window, last)))
          for begin in range(start, int(last), period)]


@style.styled
def task_weights(run: RunFiles) -> Optional[Figure]:
  """Weights, cosines and gradient norms of the offline tasks over time."""
  stage = run.stage('finetune', run.target)
  if not stage.tags('transfer/weight/'):
    return None
  panels = [('transfer/weight/', 'task weight', 'Task weights'),
            ('transfer/cosine/', "cosine with the target's gradient",
             'Gradient similarity, measured in the shaded windows')]
  if stage.tags('transfer/gradient_norm/'):
    panels.append(('transfer/gradient_norm/', 'norm',
                   "Norm of each task's gradient"))
  figure, axes = style.panels(len(panels), 1, 0.4 + 2.0 * len(panels),
                              sharex=True)
  last = max(stage.updates or 1, 1)
  windows = measuring_windows(run, last)
  drawn: List[Tuple[Axes, List[Tuple[float, str, str]]]] = []
  for axis, (prefix, label, title) in zip(axes[:, 0], panels):
    for begin, end in windows:
      axis.axvspan(begin, end, color=style.BAND, linewidth=0, zorder=0)
    drawn.append((axis, _task_lines(axis, run, stage, prefix)))
    axis.set_title(title)
    axis.set_ylabel(label)
  axes[0, 0].set_ylim(-0.04, 1.08)
  threshold = run.settings.get('TaskWeightSettings.threshold')
  axes[1, 0].axhline(0, color='#b9bec5', linewidth=1)
  if threshold is not None:
    axes[1, 0].axhline(threshold, color=style.QUIET, linewidth=1,
                       linestyle=(0, (4, 3)))
    drawn[1][1].append((threshold, f'counts above {threshold:g}', style.QUIET))
  style.count_axis(axes[-1, 0], f'{_STEPS} of finetuning', last)
  figure.draw_without_rendering()
  for axis, ends in drawn:
    style.label_ends(axis, ends)
  return figure


def _task_lines(axis: Axes, run: RunFiles, stage: StageFiles,
                prefix: str) -> List[Tuple[float, str, str]]:
  """One line per task under a tag prefix; returns the labels of the ends."""
  colors = {**style.task_colors(run.sources),
            run.target: style.METHOD_COLORS['finetune']}
  ends = []
  for tag in stage.tags(prefix):
    task = tag[len(prefix):]
    color = colors.get(task, style.QUIET)
    steps, values = stage.series(tag)
    if not len(steps):
      continue
    if prefix == 'transfer/weight/':
      axis.plot(steps, values, color=color, drawstyle='steps-post')
    else:
      axis.plot(steps, values, color=color, linewidth=1, alpha=0.5)
      axis.plot(steps, values, color=color, linestyle='', marker='o',
                markersize=3.4, markeredgewidth=0, clip_on=False)
    ends.append((values[-1], task, color))
  return ends


def _stage_lines(run: RunFiles) -> Dict[str, List[Tuple[StageFiles, str, str]]]:
  """{row title: [(stage, label, colour)]} of the figures by stage."""
  colors = style.task_colors(run.sources)
  methods = style.METHOD_COLORS
  return {
      'Source data': [(run.stage('data', task), task, colors[task])
                      for task in run.sources],
      'Teachers': [(run.stage('teacher', task), task, colors[task])
                   for task in run.sources],
      'Student': [(run.stage('student'), 'student', methods['student'])],
      'Behaviour cloning': [
          (stage, 'behaviour cloning', methods['cloning'])
          for stage in run.stages.values() if stage.kind == 'cloning'],
      'Target': [(stage, style.METHOD_NAMES[kind], methods[kind])
                 for kind, stage in run.online().items()],
  }


@style.styled
def _grid(run: RunFiles, tags: Mapping[str, str], x_label: str
          ) -> Optional[Figure]:
  """Small multiples: a row per kind of stage, a column per tag."""
  rows = {title: [entry for entry in stages
                  if any(len(entry[0].series(tag)[0]) for tag in tags)]
          for title, stages in _stage_lines(run).items()}
  rows = {title: stages for title, stages in rows.items() if stages}
  if not rows:
    return None
  figure, axes = style.panels(len(rows), len(tags), 0.7 + 1.55 * len(rows))
  for row, (title, stages) in zip(axes, rows.items()):
    for axis, (tag, name) in zip(row, tags.items()):
      _panel(axis, stages, tag)
      if axis in axes[0]:
        axis.set_title(name, fontsize=8.5)
      if axis in axes[-1]:
        axis.set_xlabel(x_label)
    row[0].set_ylabel(title, fontsize=9, color=style.INK, fontweight='bold')
    handles = [row[0].plot([], [], color=color,
                           label=textwrap.fill(label, 14))[0]
               for _, label, color in stages]
    row[-1].legend(handles=handles, loc='center left', bbox_to_anchor=(1, 0.5),
                   handlelength=1.2, fontsize=8)
  return figure


def _panel(axis: Axes, stages: Sequence[Tuple[StageFiles, str, str]],
           tag: str) -> None:
  found = False
  for stage, _, color in stages:
    steps, values = stage.series(tag)
    found |= len(steps) > 0
    axis.plot(steps, values, color=color, linewidth=1.3)
  if not found:
    style.say_nothing_here(axis, 'not recorded')
    return
  style.count_axis(axis, '')
  axis.locator_params(axis='x', nbins=3)
  axis.locator_params(axis='y', nbins=4)


def losses(run: RunFiles) -> Optional[Figure]:
  """The parts of the loss in every stage; None where nothing was recorded."""
  return _grid(run, _LOSSES, _STEPS)


def optimization(run: RunFiles) -> Optional[Figure]:
  """Gradient norm, learning rate and priorities in every stage."""
  return _grid(run, {'optim/gradient_norm': 'gradient norm before clipping',
                     'optim/learning_rate': 'learning rate',
                     'replay/priority_mean': 'mean priority'}, _STEPS)


def search(run: RunFiles) -> Optional[Figure]:
  """What the searches were like while training; None if not recorded."""
  return _recorded(run, _SEARCH)


def staleness(run: RunFiles) -> Optional[Figure]:
  """How old rows and weights were that were used; None if not recorded."""
  return _recorded(run, _STALENESS)


def _recorded(run: RunFiles, tags: Mapping[str, str]) -> Optional[Figure]:
  """As `_grid`, of those tags alone that some stage has."""
  found = {tag: textwrap.fill(name, 28) for tag, name in tags.items()
           if any(len(stage.series(tag)[0]) for stage in run.stages.values())}
  return _grid(run, found, _STEPS) if found else None


@style.styled
def stage_times(run: RunFiles) -> Optional[Figure]:
  """Wall clock of each stage, in the order in which they ran."""
  stages = [stage for stage in run.stages.values() if stage.seconds > 0]
  if not stages:
    return None
  figure, axes = style.panels(1, 1, 0.6 + 0.3 * len(stages))
  axis = axes[0, 0]
  begin = 0.
  for row, stage in enumerate(stages):
    axis.barh(row, stage.seconds, left=begin, height=0.62,
              color=_stage_color(run, stage))
    axis.annotate(formatting.duration(stage.seconds),
                  (begin + stage.seconds, row), xytext=(5, 0),
                  textcoords='offset points', va='center', fontsize=8.5)
    begin += stage.seconds
  unit, seconds = ('hours', 3600.) if begin > 2 * 3600 else ('minutes', 60.)
  axis.set_yticks(range(len(stages)), [stage.name for stage in stages],
                  color=style.INK)
  axis.invert_yaxis()
  axis.set_xlim(0, begin * 1.12)
  axis.grid(axis='y', visible=False)
  axis.set_xlabel(f'{unit} of work, one stage after another')
  axis.xaxis.set_major_locator(_multiples(seconds, begin))
  axis.xaxis.set_major_formatter(lambda x, _: f'{x / seconds:g}')
  return figure


def _multiples(unit: float, last: float) -> MultipleLocator:
  """Ticks at round multiples of a unit of time."""
  steps = [m for m in (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)
           if last / (m * unit) <= 9]
  return MultipleLocator(unit * (steps[0] if steps else last / unit / 8))


def _stage_color(run: RunFiles, stage: StageFiles) -> str:
  if stage.kind in style.METHOD_COLORS:
    return style.METHOD_COLORS[stage.kind]
  return style.task_colors(run.sources).get(stage.task or '', style.QUIET)


def updates_per_second(stage: StageFiles) -> Optional[float]:
  """Median pace of the gradient steps, None where it was not recorded."""
  return _median(stage, 'speed/updates_per_second')


def waiting_for_data(stage: StageFiles) -> Optional[float]:
  """Median share of the learner's time, 0..1, in which it had no batch."""
  return _median(stage, 'speed/waiting_for_data')


def _median(stage: StageFiles, tag: str) -> Optional[float]:
  values = stage.series(tag)[1]
  return float(np.median(values)) if len(values) else None
