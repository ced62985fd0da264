"""A page about a set of episodes: self-contained, no script, nothing external.

What was found is an `offline_data.inspection.Inspection`; this package draws it
and does not read data.
"""

import json
import os
from typing import Any, Dict, List, Mapping, Optional, Tuple

from matplotlib import ticker
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
  returns, lengths, task = found.returns, found.lengths, found.task
  frame = 'x'.join(map(str, task.observation_shape))
  rows = [
      ('Played by', who_played(found.provenance)),
      ('Observations', f'{frame} {task.observation_dtype}, {task.codec}'),
      ('Frame skip', f'{task.frame_skip}'),
      ('Sticky actions', f'{task.sticky_actions:g}'),
      ('Episodes', f'{len(lengths):,}'),
      *((f'  that end {end}', f'{count:,}')
        for end, count in found.ends.items()),
      ('Transitions to learn from', f'{found.transitions:,}'),
      ('Environment steps', f'{found.env_steps:,}'),
      ('Rows, final frames included', f'{found.rows:,}'),
      ('Episode length, least, mean, most', _range(lengths)),
      ('Life losses', f'{found.life_losses:,}'),
      ('Writers', f'{found.writers:,}'),
      ('Size', format_bytes(found.stored_bytes)),
      ('Whole', 'yes, by checksums and seal' if found.sealed else
                'by its checksums; it has no seal')]
  if len(returns):
    rows.append(('Return of a game, least, mean, most',
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
    rows.append(('Root value, least, mean, most',
                 ', '.join(formatting.number(float(v))
                           for v in found.root_values)))
  return rows


def who_played(provenance: Mapping[str, Any]) -> str:
  """Whose episodes these are, in a few words; data may say anything of it.

  Args:
    provenance: of the set.

  Returns:
    E.g. `random actions`.
  """
  acting = provenance.get('acting')
  acting = acting if isinstance(acting, Mapping) else {}
  if acting.get('policy') == 'random':
    return 'random actions'
  checkpoint = acting.get('checkpoint')
  if isinstance(checkpoint, Mapping):
    return (f'{checkpoint.get("stage")} of {checkpoint.get("run")}, step '
            f'{checkpoint.get("step")}')
  said = provenance.get('who_acted') or provenance.get('policy')
  return str(said)[:60] if said else 'nobody knows'


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
  color = figure_style.METHOD_COLORS['finetune']
  axis.hist(found.returns, bins=min(30, max(5, len(found.returns) // 3)),
            color=color, alpha=.75, edgecolor='white')
  axis.yaxis.set_major_locator(ticker.MaxNLocator(integer=True))
  axis.set_ylabel('games')
  axis.set_xlabel('raw return of a whole game')
  mean = float(found.returns.mean())
  axis.axvline(mean, color=color,
               label=f'these games, {formatting.score(mean)}')
  low, high = axis.get_xlim()
  for who, style in (('random', ':'), ('human', '--')):
    score = getattr(found.task, f'{who}_score')
    if score is None:
      continue
    # A score far away would squeeze the games into one bar.
    far = not low - 2 * (high - low) <= score <= high + 2 * (high - low)
    where = (' (far to the ' + ('right)' if score > high else 'left)')
             if far else '')
    axis.plot([score] * (0 if far else 2), [0, 1][:0 if far else 2],
              color=figure_style.METHOD_COLORS[who], linestyle=style,
              transform=axis.get_xaxis_transform(),
              label=f'{who} play, {formatting.score(score)}{where}')
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
      'frames, ' + (f'one in {made.stride}, ' if made.stride > 1 else '')
      + 'as a model sees them, enlarged.')
