"""How TensorFlow executes what the stages trace: the one place for it."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class ExecutionSettings:
  """Choices that change times and the last bits of results, not their meaning.

  Whether searches compile with XLA is the planner's `compile_search`.

  Attributes:
    graph_optimizer: whether TensorFlow rewrites each traced graph before its
      first call. It takes seconds per stage; short runs of small networks gain
      nothing from it.
  """
  graph_optimizer: bool = True

  def apply(self) -> None:
    """Takes effect for all that is traced from now on."""
    tf.config.optimizer.set_experimental_options(
        {'disable_meta_optimizer': not self.graph_optimizer})
