"""Playing: `load(task, ...)` gives batched TF-Agents environments."""

from xtra_tf.environments.game_environment import EpisodeInfo, GameEnvironment
from xtra_tf.environments.loading import load
from xtra_tf.environments.rendering import play_again, render_game
from xtra_tf.environments.self_check import check_atari
