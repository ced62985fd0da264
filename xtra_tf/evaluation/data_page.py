"""A page about a set of episodes: self-contained, no script, nothing external.

What was found is an `offline_data.inspection.Inspection`; this package draws it
and does not read data.
"""

import json
import os
from typing import Any, Dict, List, Optional, Tuple

from matplotlib.figure import Figure
import numpy as np

from xtra_tf.environments.rendering import frame_picture
from xtra_tf.evaluation import (
  animation,
  figure_style,
  formatting,
  page_files,
)
from xtra_tf.evaluation.page_files import data_uri
from xtra_tf.runs import format_bytes, make_folder, write_bytes


def facts(found: Any) -> List[Tuple[str, str]]:
  """What a set holds, as rows of a table.

  Args:
    found: an Inspection.

  Returns:
    (name, value) pairs.
  """
  returns, lengths = found.returns, found.lengths
  ends = ', '.join(f'{count:,} {name}' for name, count in found.ends.items())
  rows = [
      ('Episodes', f'{len(lengths):,} ({ends})'),
      ('Transitions to learn from', f'{found.transitions:,}'),
      ('Environment steps', f'{found.env_steps:,}'),
      ('Stored rows, final frames and no-ops included', f'{found.rows:,}'),
      ('Transitions per episode, least, mean, greatest', _range(lengths)),
      ('Life losses', f'{found.life_losses:,}'),
      ('Writers', f'{found.writers:,}'),
      ('Size', format_bytes(found.stored_bytes))]
  if len(returns):
    rows.append(('Raw return of a whole game, least, mean, greatest',
                 _range(returns)))
  for who in ('random', 'human'):
    score = getattr(found.task, f'{who}_score')
    if score is not None:
      rows.append((f'Mean return of {who} play', formatting.score(score)))
  for name in ('search', 'root_value', 'bootstrap_value'):
    count = found.columns.get(name)
    rows.append((f'Column {name}', 'absent' if count is None else
                 f'{count:,} rows have it'))
  if found.root_values is not None:
    rows.append(('Root value of a search, least, mean, greatest',
                 ', '.join(formatting.number(float(v))
                           for v in found.root_values)))
  return rows


def _range(values: np.ndarray) -> str:
  return ', '.join(formatting.number(float(v)) for v in (
      values.min(), values.mean(), values.max()))


@figure_style.styled
def returns_figure(found: Any) -> Optional[Figure]:
  """Histogram of returns, with random and human play where known."""
  if not len(found.returns):
    return None
  figure, axes = figure_style.panels(1, 1, 2.7)
  axis = axes[0, 0]
  axis.hist(found.returns, bins=min(30, max(5, len(found.returns) // 3)),
            color=figure_style.METHOD_COLORS['finetune'])
  axis.set_ylabel('games')
  axis.set_xlabel('raw return of a whole game')
  for who, style in (('random', ':'), ('human', '--')):
    score = getattr(found.task, f'{who}_score')
    if score is not None:
      axis.axvline(score, color=figure_style.METHOD_COLORS[who],
                   linestyle=style,
                   label=f'{who} play, {formatting.score(score)}')
  if axis.get_legend_handles_labels()[0]:
    axis.legend()
  return figure


@figure_style.styled
def actions_figure(found: Any) -> Figure:
  """Shares of the actions; legal ones that were never played have a 0."""
  task = found.task
  shown = [a for a in range(task.num_actions)
           if a in task.legal_actions or found.action_counts[a]]
  shares = 100 * found.action_counts[shown] / found.action_counts.sum()
  figure, axes = figure_style.panels(1, 1, 2.7)
  axis = axes[0, 0]
  axis.bar([task.action_names[a] for a in shown], shares,
           color=figure_style.METHOD_COLORS['student'])
  axis.set_ylabel('% of transitions')
  if len(shown) > 9:
    axis.tick_params(axis='x', rotation=60)
  return figure


def write(found: Any, folder: str) -> str:
  """Writes the page.

  Args:
    found: an Inspection.
    folder: for index.html; made if need be.

  Returns:
    Path of the page.

  Raises:
    StorageError: it cannot be written.
  """
  histogram = returns_figure(found)
  moving, caption = _animation(found)
  context: Dict[str, Any] = {
      'found': found, 'facts': facts(found), 'animation': moving,
      'caption': caption,
      'returns': data_uri('png', figure_style.to_png(histogram))
                 if histogram else '',
      'actions': data_uri('png', figure_style.to_png(actions_figure(found))),
      'rewards': [(formatting.number(value), f'{count:,}', formatting.percent(
          count, found.transitions)) for value, count in found.rewards.items()],
      'name': os.path.basename(os.path.abspath(found.directory)),
      'task': json.dumps(found.task.to_json(), indent=1),
      'provenance': json.dumps(dict(found.provenance), indent=1)}
  page = page_files.fill('dataset.html', **context)
  path = os.path.join(make_folder(folder), 'index.html')
  write_bytes(path, page.encode('utf-8'))
  return path


def _animation(found: Any) -> Tuple[str, str]:
  """The sample episode as a GIF, and what it shows; '' where it is no image."""
  pictures = [frame_picture(found.task, frame) for frame in found.sample]
  if any(picture is None for picture in pictures) or len(pictures) < 2:
    return '', 'The observations are no images.'
  made = animation.encode(np.stack([p for p in pictures if p is not None]))
  return data_uri('gif', made.gif), (
      f'Episode {found.sample_number}: its first {len(pictures):,} stored '
      f'frames, one in {made.stride}, as a model sees them, enlarged.')
