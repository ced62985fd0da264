"""Playing: `load(task, ...)` gives batched TF-Agents environments."""

from xtra_tf.environments.game_environment import EpisodeInfo, GameEnvironment
from xtra_tf.environments.loading import load
