"""The newest weights, for whoever acts: a Reverb table of one item."""

import io
import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
import reverb
import tensorflow as tf

from xtra_tf.errors import IncompatibleDataError
from xtra_tf.replay import byte_tables
from xtra_tf.replay.bounded_calls import BoundedCalls
from xtra_tf.replay.probing import probe

WEIGHTS_TABLE = 'run:weights'
_FACTS = 'facts'
_MOST_BYTES = 2**31
_PROBE_SECONDS = 2


class Weights(NamedTuple):
  """What the learner tells those who act."""
  variables: List[np.ndarray]  # of the acting model, in its own order
  step: int  # updates that made them
  allowed_env_steps: int  # that all collectors together may have taken
  maximum_priority: float  # with which new items enter the target's table
  temperature: float  # of the draw of actions by visits
  finished: bool = False  # there is nothing left to be played
  # {collector: environment steps that the learner knows of}
  played: Dict[str, int] = {}


def weights_table() -> reverb.Table:
  """The table; empty until the learner publishes."""
  return byte_tables.newest_table(WEIGHTS_TABLE)


class WeightsChannel:
  """Publishes weights, or takes the newest."""

  def __init__(self, address: str, timeout_seconds: float = 30.):
    """Initializes; nothing is asked yet.

    Args:
      address: of the run's server.
      timeout_seconds: that sending or taking may last.
    """
    self._calls = BoundedCalls(address, timeout_seconds)
    self._inserted = 0

  def publish(self, weights: Weights) -> None:
    """Makes these the newest.

    Raises:
      UnreachableError: the server does not answer.
    """
    content = to_bytes(weights)
    self._calls('publishing weights', lambda: byte_tables.put(
        self._calls.client, WEIGHTS_TABLE, content))

  def is_empty(self) -> bool:
    """Whether no weights are there: nobody has published, or a new server.

    Raises:
      UnreachableError: the server does not answer.
    """
    return not probe(self._calls.client, _PROBE_SECONDS)[
        WEIGHTS_TABLE].current_size

  def take(self, shapes: Sequence[Sequence[int]]) -> Optional[Weights]:
    """The newest weights; None if they are those that were taken last.

    Args:
      shapes: of the variables that they must fit.

    Raises:
      UnreachableError: the server does not answer.
      IncompatibleDataError: they are of another network.
    """
    info = probe(self._calls.client, _PROBE_SECONDS)[WEIGHTS_TABLE]
    inserted = info.rate_limiter_info.insert_stats.completed
    if not info.current_size or inserted == self._inserted:
      return None
    [content] = self._calls('taking weights', lambda: byte_tables.take(
        self._calls.client, WEIGHTS_TABLE))
    weights = from_bytes(content, self._calls.address)
    found = [list(variable.shape) for variable in weights.variables]
    expected = [list(shape) for shape in shapes]
    if found != expected:
      raise IncompatibleDataError(
          f'The weights at {self._calls.address} are of another network: found '
          f'{len(found)} variables, expected {len(expected)}; the first that '
          'differs: ' + next(
              (f'{a}, expected {b}' for a, b in zip(found, expected)
               if a != b), 'none')
          + '. Start learner and collectors with the same gin files.')
    # A newer item may have come meanwhile; then it is taken next time.
    self._inserted = inserted
    return weights

  def take_into(self, variables: Sequence[tf.Variable]) -> Optional[Weights]:
    """`take`, and gives the newest weights to variables that they must fit."""
    weights = self.take([variable.shape for variable in variables])
    if weights is not None:
      for variable, value in zip(variables, weights.variables):
        variable.assign(value)
    return weights


def to_bytes(weights: Weights) -> bytes:
  """An .npz of the variables and, as JSON, all else."""
  facts: Dict[str, Any] = weights._asdict()
  variables = facts.pop('variables')
  file = io.BytesIO()
  np.savez(file, **{str(i): v for i, v in enumerate(variables)},
           **{_FACTS: np.frombuffer(json.dumps(facts).encode(), np.uint8)})
  return file.getvalue()


def from_bytes(content: bytes, address: str) -> Weights:
  """What `to_bytes` wrote.

  Args:
    content: as a server sent it; nothing in it is run.
    address: of the server, for the message.

  Raises:
    IncompatibleDataError: it is none.
  """
  try:
    if len(content) > _MOST_BYTES:
      raise ValueError(f'{len(content)} bytes')
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
      facts = json.loads(file[_FACTS].tobytes())
      variables = [file[str(i)] for i in range(len(file.files) - 1)]
    return Weights(
        variables=variables, step=int(facts['step']),
        allowed_env_steps=int(facts['allowed_env_steps']),
        maximum_priority=float(facts['maximum_priority']),
        temperature=float(facts['temperature']),
        finished=facts['finished'] is True,
        played={str(collector): int(steps)
                for collector, steps in facts['played'].items()})
  except Exception as error:
    raise IncompatibleDataError(
        f'The weights at {address} cannot be read: {type(error).__name__}: '
        f'{error}. Expected those of a launchers.train of the same version.'
        ) from error
