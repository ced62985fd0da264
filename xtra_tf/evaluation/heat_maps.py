"""Task weights and cosines of an experiment's runs, as heat maps over time."""

import math
from typing import Optional, Tuple

from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
import numpy as np

from xtra_tf.evaluation import figure_style as style
from xtra_tf.evaluation.experiment_records import TargetRecord
from xtra_tf.evaluation.experiment_runs import Experiment


@style.styled
def task_weights(experiment: Experiment, method: str) -> Optional[Figure]:
  """Weights and cosines of a method's source tasks, as heat maps over time."""
  targets = [target for target in experiment.targets
             if _has_weights(experiment, method, target)]
  if not targets:
    return None
  tall = sum(0.62 + 0.22 * len(target.sources) for target in targets)
  figure, axes = style.panels(
      len(targets), 2, 0.5 + tall, height_ratios=[
          0.62 + 0.22 * len(target.sources) for target in targets])
  grids = {prefix: [series_grid(experiment, method, target, prefix)
                    for target in targets]
           for prefix in ('transfer/weight/', 'transfer/cosine/')}
  reach = max((float(np.nanmax(np.abs(values), initial=0.)) for _, values in
               grids['transfer/cosine/']), default=1.) or 1.
  for column, (prefix, title, colors, limits) in enumerate((
      ('transfer/weight/', 'task weight', 'Blues', (0., 1.)),
      ('transfer/cosine/', 'cosine with the target', 'RdBu', (-reach, reach)))):
    for axis, target, (steps, values) in zip(axes[:, column], targets,
                                             grids[prefix]):
      image = _heat_map(axis, target, steps, values, colors, limits)
      axis.set_title(f'{target.name}: {title}')
      if column:
        axis.set_yticklabels([])
    axes[-1, column].set_xlabel('gradient steps of finetuning')
    figure.colorbar(image, ax=axes[:, column], shrink=0.9, aspect=30)
  return figure


def _has_weights(experiment: Experiment, method: str,
                 target: TargetRecord) -> bool:
  return any(run.files.tags('transfer/weight/') or run.files.tags(
      'transfer/cosine/') for run in experiment.of(method, target.name))


def series_grid(experiment: Experiment, method: str, target: TargetRecord,
                prefix: str, points: int = 48
                ) -> Tuple[np.ndarray, np.ndarray]:
  """A tag's mean over runs, for each source task, on even steps.

  Args:
    experiment: whose.
    method: of the runs.
    target: of the runs.
    prefix: of the tag; the source task's name follows.
    points: steps of the grid.

  Returns:
    <float64>[points + 1] edges of the steps and <float64>[sources, points]:
    the mean of a run's values within the step, or its value before (a weight
    holds until the next), and then over runs; NaN before the first.
  """
  runs = experiment.of(method, target.name)
  found = {source: [run.files.series(f'{prefix}{source}') for run in runs]
           for source in target.sources}
  last = max((steps[-1] for pairs in found.values() for steps, _ in pairs
              if len(steps)), default=1.)
  edges = np.linspace(0., last, points + 1)
  grid = np.full([len(found), points], np.nan)
  for row, pairs in enumerate(found.values()):
    held = [_held(steps, values, edges) for steps, values in pairs
            if len(steps)]
    for column in range(points):
      known = [h[column] for h in held if math.isfinite(h[column])]
      grid[row, column] = np.mean(known) if known else np.nan
  return edges, grid


def _held(steps: np.ndarray, values: np.ndarray,
          edges: np.ndarray) -> np.ndarray:
  """Mean within each step of the grid; the last value where there is none."""
  held = np.full([len(edges) - 1], np.nan)
  last = math.nan
  for column in range(len(held)):
    end = edges[column + 1]
    inside = (steps >= edges[column]) & (
        (steps <= end) if column == len(held) - 1 else (steps < end))
    held[column] = values[inside].mean() if inside.any() else last
    last = values[inside][-1] if inside.any() else last
  return held


def _heat_map(axis: Axes, target: TargetRecord, edges: np.ndarray,
              values: np.ndarray, colors: str,
              limits: Tuple[float, float]) -> QuadMesh:
  rows = np.arange(len(target.sources) + 1) - 0.5
  image = axis.pcolormesh(edges, rows, values, cmap=colors, vmin=limits[0],
                          vmax=limits[1])
  axis.set_yticks(range(len(target.sources)), target.sources, color=style.INK)
  axis.set_ylim(len(target.sources) - 0.5, -0.5)
  axis.grid(False)
  style.count_axis(axis, '')
  return image
