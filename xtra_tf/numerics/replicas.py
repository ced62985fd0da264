"""What the replicas of a `tf.distribute` strategy do together.

Each replica has some of a batch's rows, and all have as many. Whatever is of
the batch as a whole (means, maxima, gradients, batch statistics) is put
together here, so that every replica has the same and the result is that of one
device with all rows. Without a strategy there is one replica and nothing to do.
"""

from typing import Any, List, Sequence

import tensorflow as tf
from tensorflow.python.eager import record


def number() -> int:
  """Replicas that run this step in sync."""
  context = tf.distribute.get_replica_context()
  return 1 if context is None else context.num_replicas_in_sync


def index() -> Any:
  """This replica's place, 0..number() - 1; a tensor if there are several."""
  if number() == 1:
    return 0
  return tf.distribute.get_replica_context().replica_id_in_sync_group


def total(nest: Any) -> Any:
  """Sums over all replicas; gradients flow through it.

  Args:
    nest: of tensors, of equal shapes on all replicas.

  Returns:
    The same nest of sums.
  """
  if number() == 1:
    return nest
  return tf.nest.pack_sequence_as(nest, _sums(tf.nest.flatten(nest)))


def _sums(values: List[tf.Tensor]) -> List[tf.Tensor]:
  """All-reduces; the gradient of an all-sum is itself an all-sum.

  As `ReplicaContext.all_reduce`, whose custom gradient looks in graph mode for
  variables between the results and this replica's values. The results hang on
  the other replicas' values too, so that it walks through all of their graph,
  forwards and backwards, at each call: minutes for a step with a few hundred.
  """
  context = tf.distribute.get_replica_context()
  with record.stop_recording():
    sums = context.merge_call(_batch_reduce, args=values)
  record.record_operation('AllSum', sums, values,
                          lambda *gradients: _sums(list(gradients)))
  return sums


def _batch_reduce(strategy: tf.distribute.Strategy,
                  *values: Any) -> List[Any]:
  return strategy.extended.batch_reduce_to(
      tf.distribute.ReduceOp.SUM, [(value, value) for value in values])


def maximum(x: tf.Tensor) -> tf.Tensor:
  """The largest of all replicas, element by element.

  Args:
    x: <any>[...] of equal shape on all replicas; no gradient flows.

  Returns:
    A tensor like `x`.
  """
  if number() == 1:
    return x
  # There is no reduction but sum and mean.
  return tf.reduce_max(tf.distribute.get_replica_context().all_gather(
      tf.stop_gradient(x)[tf.newaxis], axis=0), axis=0)


def own_rows(whole: tf.Tensor) -> tf.Tensor:
  """This replica's rows of what all replicas have drawn alike.

  With random numbers for all rows, a row gets the same number wherever it is.

  Args:
    whole: <any>[R * B, ...], R replicas of B rows.

  Returns:
    <any>[B, ...].
  """
  count = number()
  if count == 1:
    return whole
  rows = whole.shape[0] // count
  parts = tf.reshape(whole, [count, rows, *whole.shape[1:]])
  return tf.gather(parts, index())


def assign(variables: Sequence[tf.Variable],
           values: Sequence[tf.Tensor]) -> None:
  """Gives variables new values, on each replica those computed there.

  A mirrored variable stays one only if all replicas have computed the same:
  then nothing has to be sent. Not inside a `tf.cond` or `tf.while_loop`.

  Args:
    variables: of the strategy's scope.
    values: one for each, equal on all replicas.
  """
  if number() == 1:
    for variable, value in zip(variables, values):
      variable.assign(value)
    return

  def update(strategy: tf.distribute.Strategy,
             values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values):
      strategy.extended.update(
          variable, lambda v, x: v.assign(x), args=(value,))

  tf.distribute.get_replica_context().merge_call(update, args=(list(values),))
