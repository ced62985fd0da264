"""How episodes came about, as their header says it.

No absolute paths, host names or user names: data travel.
"""

import dataclasses
import hashlib
from typing import Any, Dict, Mapping, Optional

from xtra_tf.environments.atari import rom_md5
from xtra_tf.experiments.checkpoint_evaluation import CheckpointPlayer
from xtra_tf.planning.planner import Planner
from xtra_tf.runs import provenance
from xtra_tf.tasks import TaskSpec
from xtra_tf.variables import CheckpointInfo

# How a search is carried out, not what it finds.
_NO_MATTER = ('compile_search',)


def weights_digest(info: CheckpointInfo) -> str:
  """SHA-256 over the hashes of a save's files; the same wherever it lies."""
  hashes = ''.join(sorted(f['sha256'] for f in info.manifest.files.values()))
  return hashlib.sha256(hashes.encode()).hexdigest()


def of_planner(planner: Planner) -> Dict[str, Any]:
  """The settings of a search that decide what it finds."""
  settings: Any = planner
  fields = {name: value
            for name, value in dataclasses.asdict(settings).items()
            if name not in _NO_MATTER}
  return {'planner': type(planner).__name__, **fields}


def of_player(player: CheckpointPlayer) -> Dict[str, Any]:
  """Whose weights acted: by run and stage, and by what they are."""
  info = player.checkpoint
  return {'run': player.run, 'stage': player.stage, 'step': info.step,
          'env_steps': info.env_steps, 'profile': player.profile,
          'weights': weights_digest(info)}


def of_environment(task: TaskSpec, num_envs: int,
                   max_episode_steps: int) -> Dict[str, Any]:
  """What was played and how.

  Args:
    task: that is played.
    num_envs: games at once; a game's seed depends on its slot.
    max_episode_steps: agent steps after which a game is truncated.

  Returns:
    JSON-able; `rom_md5` is None for tasks without a ROM.
  """
  return {
      'task': task.name, 'num_envs': num_envs,
      'max_episode_steps': max_episode_steps, 'frame_skip': task.frame_skip,
      'sticky_actions': task.sticky_actions, 'codec': task.codec,
      'observation_shape': list(task.observation_shape),
      'clip_reward': task.clip_reward,
      'rom_md5': rom_md5(task.name) if task.family == 'atari' else None}


def of_software() -> Dict[str, Any]:
  """The code at work and the versions of what it stands on."""
  return {'code': provenance.code_version(),
          'versions': provenance.versions()}


def value_at(provenance: Mapping[str, Any], *path: str) -> Optional[Any]:
  """A nested value; None where there is none, as in data of other programs."""
  found: Any = provenance
  for name in path:
    if not isinstance(found, Mapping):
      return None
    found = found.get(name)
  return found
