"""The protocol of a world model: what search, targets and learners may ask.

A new model joins by implementing this class and inheriting the suite in
tests/conformance/world_model_suite.py; nothing else needs to change.
"""

import abc
from typing import Any, List, Optional, Sequence, Tuple

import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError
from xtra_tf.types import ModelOutput, Simulator


class WorldModel(tf.keras.Model, abc.ABC):
  """A learned model of one or several tasks with a common action set.

  Observations arrive stacked and scaled: <float32>[B, H, W, S * C] for frames
  (channel S-major: oldest frame first, colours of a frame together), or
  <float32>[B, S * D] for vectors. Actions are <int32>[B], ids of the task
  family. All functions are batched and may be traced.

  A model may know some of the family's actions only. It takes no others, and
  gives them policy logits of which a softmax makes exactly 0.
  """

  num_actions: int  # A, of the task family
  prefix_horizon: int  # steps after which the value prefix starts anew

  @property
  def action_ids(self) -> Optional[Tuple[int, ...]]:
    """The actions that the model knows; None: all of 0..A - 1."""
    return None

  def check_plays(self, task: str, legal_actions: Sequence[int]) -> None:
    """Refuses a task with legal actions that the model does not know.

    Args:
      task: name of the task.
      legal_actions: ids of its actions.

    Raises:
      IncompatibleDataError: naming the actions of both.
    """
    ids = self.action_ids
    if ids is None:
      ids = tuple(range(self.num_actions))
    missing = [n for n in legal_actions if n not in ids]
    if missing:
      raise IncompatibleDataError(
          f'The action head of {self.name} does not fit {task}: it knows the '
          f'{len(ids)} actions {list(ids)}, the task has the '
          f'{len(legal_actions)} actions {list(legal_actions)}; '
          f'{missing} are missing. Expected a model of the same task, or one '
          'that knows all actions of the task family.')

  @abc.abstractmethod
  def initial_inference(self, observation: tf.Tensor,
                        training: bool = False) -> ModelOutput:
    """Encodes observations; the reward of the output is 0.

    Args:
      observation: <float32>[B, ...], stacked and scaled.
      training: whether batch statistics are used (and updated).

    Returns:
      A ModelOutput with leading axis B, its value prefix freshly reset.
    """

  @abc.abstractmethod
  def recurrent_inference(self, state: Any, action: tf.Tensor,
                          training: bool = False) -> ModelOutput:
    """Predicts what follows an action.

    Args:
      state: nest of tensors [B, ...] as returned before.
      action: <int32>[B].
      training: whether batch statistics are used (and updated).

    Returns:
      A ModelOutput; its reward is the undiscounted sum of rewards since the
      value prefix was last reset.
    """

  @abc.abstractmethod
  def reset_prefix(self, state: Any, where: tf.Tensor) -> Any:
    """Starts the value prefix anew for some rows.

    Args:
      state: nest of tensors [B, ...].
      where: <bool>[B].

    Returns:
      The state, with what accumulates the prefix cleared where asked.
    """

  @abc.abstractmethod
  def project(self, state: Any, with_head: bool,
              training: bool = False) -> tf.Tensor:
    """Maps states to the space in which consistency is measured.

    Args:
      state: nest of tensors [B, ...].
      with_head: True for the predicted side, False for the encoded side,
        whose gradient the caller stops.
      training: whether batch statistics are used (and updated).

    Returns:
      <float32>[B, projection].
    """

  def freeze(self, parts: Sequence[str]) -> None:
    """Takes parts out of training, for as long as the model lives.

    Their variables leave `trainable_variables`, and they compute in inference
    mode whatever `training` says, so that nothing changes them. The order of
    `variables` changes: freeze models alike whose variables are compared.

    Args:
      parts: names of sub-modules, e.g. ('representation',).

    Raises:
      ValueError: the model has no such part.
    """
    for name in parts:
      part = getattr(self, name, None)
      if not isinstance(part, tf.keras.layers.Layer):
        raise ValueError(f'{self.name} has no part {name!r} to freeze.')
      part.trainable = False

  @property
  def statistics(self) -> List[tf.Variable]:
    """What a forward pass in training mode itself changes."""
    frozen = {variable.ref() for module in self.submodules
              if isinstance(module, tf.keras.layers.Layer)
              and not module.trainable for variable in module.variables}
    # Keras counts the weights of frozen layers among these.
    return [variable for variable in self.non_trainable_variables
            if variable.ref() not in frozen]

  def simulator(self) -> Simulator:
    """The model, in inference mode, as a planner wants it."""
    return Simulator(
        recurrent=lambda state, action: self.recurrent_inference(
            state, action, training=False),
        reset_prefix=self.reset_prefix,
        prefix_horizon=self.prefix_horizon)
