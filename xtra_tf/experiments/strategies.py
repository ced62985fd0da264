"""Which devices a learner's step runs on: `tf.distribute` by name."""

import dataclasses
from typing import Callable, Sequence, Tuple

from absl import logging
import tensorflow as tf

from xtra_tf.errors import UnreachableError, UsageError, near_names
from xtra_tf.experiments import cluster_config, roles
from xtra_tf.experiments.roles import RunParts
from xtra_tf.runs import stop_request

# The stages that several processes can train by launchers.xtra: no one plays.
TOGETHER = ('teacher', 'student', 'cloning')
STRATEGIES = ('one', 'mirrored', 'multi_worker', 'tpu')
_LONGEST_REASON = 300  # characters of what TensorFlow says


@dataclasses.dataclass(frozen=True)
class Devices:
  """The choice that the flags --strategy and --tpu_name make.

  Attributes:
    strategy: `one`, a single device; `mirrored`, a replica on each GPU, without
      GPUs on each logical CPU, as many as this process was given;
      `multi_worker`, the same on each machine of TF_CONFIG; `tpu`, a replica on
      each core of a TPU.
    tpu_name: of the TPU; `local` on a TPU VM.
  """
  strategy: str = 'one'
  tpu_name: str = ''

  def check(self) -> None:
    """Refuses what needs no device to be refused.

    Raises:
      UsageError: there is no such strategy, a TPU's name without a TPU or a TPU
        without a name, or TF_CONFIG is not what it should be.
    """
    name = self.strategy
    if name not in STRATEGIES:
      raise UsageError(
          f'--strategy is {name!r}. {near_names(name, STRATEGIES)}')
    if self.tpu_name and name != 'tpu':
      raise UsageError(
          f'--tpu_name is {self.tpu_name!r}, and --strategy {name}. Expected '
          '--strategy=tpu with it.')
    if name == 'tpu' and not self.tpu_name:
      raise UsageError(
          '--strategy=tpu needs --tpu_name, found none. Expected '
          "--tpu_name=local on a TPU VM, or the TPU's name.")
    if name == 'multi_worker':
      cluster_config.read()

  def make(self, say: Callable[[str], None] = logging.info
           ) -> tf.distribute.Strategy:
    """The strategy. To be called before anything else of TensorFlow is.

    Args:
      say: told what is waited for.

    Raises:
      UsageError: as of `check`.
      UnreachableError: there is no such TPU, or the other learners cannot be
        joined.
    """
    self.check()
    return {'one': tf.distribute.get_strategy, 'mirrored': _mirrored,
            'multi_worker': lambda: _multi_worker(say),
            'tpu': lambda: _tpu(self.tpu_name)}[self.strategy]()


def _mirrored() -> tf.distribute.Strategy:
  devices = (tf.config.list_logical_devices('GPU')
             or tf.config.list_logical_devices('CPU'))
  exchange = None
  if devices[0].device_type == 'CPU':
    # Collectives take three times as long to trace and gain nothing here.
    exchange = tf.distribute.ReductionToOneDevice()
  return tf.distribute.MirroredStrategy(
      [device.name for device in devices], cross_device_ops=exchange)


def _multi_worker(say: Callable[[str], None]) -> tf.distribute.Strategy:
  cluster = cluster_config.read()
  own = cluster.addresses[cluster.place]
  say(f'Learner {cluster.place} of {len(cluster.addresses)}, {own}, waits for '
      f'the others of {cluster_config.VARIABLE}: '
      + ', '.join(a for a in cluster.addresses if a != own) + '.')
  try:
    with stop_request.let_go():
      return tf.distribute.MultiWorkerMirroredStrategy()
  except (tf.errors.OpError, RuntimeError) as error:
    raise UnreachableError(
        f'Learner {cluster.place} of {len(cluster.addresses)} could not join '
        f'the others: {_shortened(error)} Expected the port of {own} to be '
        'free here and all learners to be started, with the same cluster in '
        f'{cluster_config.VARIABLE}: {", ".join(cluster.addresses)}.'
    ) from error


def _tpu(name: str) -> tf.distribute.Strategy:
  # It defines flags when it is imported.
  from tf_agents.train.utils import strategy_utils
  try:
    return strategy_utils.get_strategy(tpu=name, use_gpu=False)
  # Whatever the resolver's own client raises: it asks over the network.
  except Exception as error:  # pylint: disable=broad-except
    raise UnreachableError(
        f'There is no TPU at --tpu_name={name}: {_shortened(error)} Expected '
        '--tpu_name=local on a TPU VM whose TensorFlow is a build for TPUs, '
        'or the name of a TPU that this machine may use. '
        '--strategy=one or mirrored needs none.') from error


def _shortened(error: Exception) -> str:
  text = ' '.join(f'{type(error).__name__}: {error}'.split())
  return (text[:_LONGEST_REASON] + '...' if len(text) > _LONGEST_REASON
          else text.rstrip('.') + '.')


def check_stages(devices: Devices, only: Sequence[str]) -> None:
  """Refuses stages of which several processes would each play a part.

  Args:
    devices: of the learner.
    only: the stages that were asked for; none: all.

  Raises:
    UsageError: `multi_worker` with other stages than `TOGETHER`.
  """
  if devices.strategy == 'multi_worker' and (
      not only or set(only) - set(TOGETHER)):
    raise UsageError(
        '--strategy=multi_worker trains the stages in which nobody plays, and '
        f'--stages asks for {", ".join(only) or "all"}. Expected '
        f'--stages=teacher,student or some of {", ".join(TOGETHER)}; the '
        'stages that play are trained by launchers.train --strategy='
        'multi_worker beside a launchers.replay_server, or by one process.')


def check_settings(parts: RunParts, names: Sequence[str],
                   strategy: tf.distribute.Strategy) -> None:
  """Refuses stages that the devices cannot train, before the first of them.

  Args:
    parts: of the run.
    names: of the stages.
    strategy: of the learner.

  Raises:
    UsageError: batches that replicas cannot share, or a repeatable stage on
      several processes.
  """
  replicas = strategy.num_replicas_in_sync
  for name in names if replicas > 1 else ():
    settings = parts.stages[name]
    rows: Tuple[int, ...] = (settings.stage.batch_size,)
    if name in ('student', 'cloning', 'finetune'):
      rows = roles.batch_rows(parts, name, with_target=name == 'finetune')
    rows_of_a_replica(rows, replicas, name)
    if settings.replay.repeatable and isinstance(
        strategy, tf.distribute.MultiWorkerMirroredStrategy):
      raise UsageError(
          f'ReplaySettings.repeatable is True in the stage {name}: each '
          'process of --strategy=multi_worker has tables with priorities of '
          'its own, which a save does not hold. Expected False, or one '
          'process.')


def rows_of_a_replica(rows: Sequence[int], replicas: int, stage: str
                      ) -> Tuple[int, ...]:
  """Rows of each task on one replica, as many on all.

  Args:
    rows: of each task in a whole batch.
    replicas: in sync.
    stage: for the message.

  Raises:
    UsageError: they cannot be divided; names numbers that could.
  """
  if any(count % replicas for count in rows):
    raise UsageError(
        f'A batch of the stage {stage} has {", ".join(map(str, rows))} rows of '
        f'its tasks, which {replicas} replicas cannot share equally. Expected '
        f'multiples of {replicas} for each task: another BATCH_SIZE (it is '
        'divided among the offline tasks), fewer devices, or --strategy=one.')
  return tuple(count // replicas for count in rows)
