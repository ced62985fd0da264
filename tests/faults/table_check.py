"""Whether a replay server holds what the disk says that it must hold."""

import os
from typing import Dict, List, Tuple

import numpy as np
import reverb

from xtra_tf.episodes import EpisodeLog
from xtra_tf.replay.priorities import sanitize_number
from xtra_tf.runs import StageDirectory, newest_manifest
from xtra_tf.variables import ManifestedCheckpoints

_DRAWN = 512  # items of a table that are looked at


def broken(address: str, directory: StageDirectory,
           logs: Dict[str, str]) -> List[str]:
  """One phrase for each table with other items or priorities than it must have.

  Args:
    address: of a run's server that was started alone, so that nobody else
      fills or changes its tables.
    directory: of the stage.
    logs: {task: folder of its episodes}; the played one first.

  Returns:
    Phrases; none if all is as promised.
  """
  client = reverb.Client(address)
  sizes = {name: table.current_size
           for name, table in client.server_info(timeout=10).items()}
  saved = _saved_priorities(directory, list(logs))
  found = []
  for index, (task, folder) in enumerate(logs.items()):
    expected = _steps(folder, is_played=not index)
    if sizes[task] != expected:
      found.append(f'the table {task} holds {sizes[task]} items, its log '
                   f'{expected} steps')
    if expected:
      found += _other_priorities(client, task, saved[task])
  return found


def _steps(folder: str, is_played: bool) -> int:
  """Steps of a log; each is an item. Open games are fed by who plays them."""
  if not os.path.isdir(folder):
    return 0
  log = EpisodeLog(folder, being_written=True)
  return sum(int(episode.real.sum()) for episode in log.episodes()
             if not is_played or episode.number not in log.open_episodes)


def _saved_priorities(directory: StageDirectory, tasks: List[str]
                      ) -> Dict[str, Tuple[Dict[int, np.ndarray], float]]:
  """{task: ({episode: priorities of its steps}, that of any other item)}."""
  manifest = newest_manifest(directory.manifests, directory.checkpoints)
  arrays = ManifestedCheckpoints(directory).arrays() if manifest else {}
  found = {}
  for index, task in enumerate(tasks):
    rows: Dict[int, np.ndarray] = {}
    if arrays:
      ends = np.cumsum(arrays[f'steps/{index}'])[:-1]
      rows = dict(zip(arrays[f'episode/{index}'].tolist(),
                      np.split(arrays[f'priority/{index}'], ends)))
    new = manifest.state['maximum_priority'] if manifest and not index else 1.
    found[task] = rows, float(new)
  return found


def _other_priorities(client: reverb.Client, task: str,
                      saved: Tuple[Dict[int, np.ndarray], float]) -> List[str]:
  """Items that were drawn with another priority than the save's."""
  rows, new = saved
  for sample in client.sample(task, _DRAWN, emit_timesteps=False,
                              unpack_as_table_signature=True):
    # Tiny tasks have a stack of one: a window begins with its anchor.
    episode, step = np.asarray(sample.data['position'])[0, :2].tolist()
    row = rows.get(episode, np.zeros([0]))
    expected = row[step] if step < len(row) else np.nan
    expected = sanitize_number(new if np.isnan(expected) else expected)
    priority = float(np.asarray(sample.info.priority).ravel()[0])
    if not np.isclose(priority, expected, rtol=1e-5):
      return [f'the item of {task} at {episode}, {step} has the priority '
              f'{priority:g}, the save says {expected:g}']
  return []
