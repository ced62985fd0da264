"""A server of offline tables for any number of learners.

The sets on disk are the truth and the tables their working set: whoever kills
the server starts it again, and every item is back. Until a table is full again
it is not sampled, so that nobody learns from a part of it in the meantime.
"""

from typing import (
  Any,
  Callable,
  Dict,
  List,
  Mapping,
  NamedTuple,
  Optional,
  Sequence,
  Set,
)

from xtra_tf.episodes import EpisodeLog
from xtra_tf.errors import DataFileError, IncompatibleDataError, UsageError
from xtra_tf.experiments import (
  configuration,
  data_handshake,
  offline_server,
  roles,
  teacher_targets,
)
from xtra_tf.experiments.remote_hosts import strangers
from xtra_tf.experiments.settings import ReplaySettings
from xtra_tf.offline_data import (
  LogStream,
  check_memory,
  estimate_bytes,
  load_log,
)
from xtra_tf.planning.planner import Planner
from xtra_tf.replay import (
  RECORD_TABLE,
  ReplayServer,
  ReplayWriter,
  SharedRecord,
  SharedTable,
  TableSpec,
  WindowSpec,
  publish,
  record_table,
)
from xtra_tf.replay.probing import probe
from xtra_tf.runs import StageProgress, format_bytes
from xtra_tf.tasks import TaskSpec

# Steps that a stream takes in before another has its turn.
_STREAM_STEPS = 2000


class SharedSets(NamedTuple):
  """Data that are to be served, looked at and found fit."""
  logs: Dict[str, EpisodeLog]
  record: SharedRecord
  memory: str  # `needs 5.2 GiB, has 24.0 GiB`
  samples_per_step: float  # see ReplaySettings

  def lines(self) -> List[str]:
    """What will be served and what it takes, for whoever starts the server."""
    return [*(self._line(name) for name in self.logs),
            f'Memory: {self.memory}.']

  def _line(self, name: str) -> str:
    table = self.record.tables[name]
    needed = format_bytes(estimate_bytes(self.logs[name], table.items))
    through = (f', {table.items:,} at a time' if table.streams else '')
    if table.targets:
      named = {field: table.teacher.get(field, 'not named') for field in
               ('teacher', 'teacher_step', 'teacher_weights')}
      targets = ('targets by {teacher}, step {teacher_step}, weights '
                 '{teacher_weights:.8}'.format_map(named))
    else:
      own = ', '.join(table.columns) or 'none'
      targets = f'columns of the data themselves: {own}'
    return (f'{name}: {table.steps:,} steps of {table.episodes:,} '
            f'episodes{through}, needs {needed}; {targets}.')


def prepare(task_data: Mapping[str, str], task_targets: Mapping[str, str],
            gin_files: Sequence[str], gin_bindings: Sequence[str],
            allow_remote: bool = False) -> SharedSets:
  """Opens the sets and checks all that can be checked before loading.

  Args:
    task_data: {task: folder of its episodes}.
    task_targets: {task: folder of a teacher's targets for them}, if these are
      not columns of the episodes.
    gin_files: names of gin files; they say what frames and windows are like.
    gin_bindings: single bindings, applied last.
    allow_remote: learners on other hosts may use the server; without it they
      refuse to.

  Returns:
    The sets.

  Raises:
    UsageError: a setting, or too little memory.
    DataFileError: a set is damaged or empty.
    IncompatibleDataError: a set is of another task, or tasks do not fit.
  """
  if not task_data:
    raise UsageError('There is nothing to serve. Expected --task_data=TASK=DIR '
                     'at least once, e.g. --task_data=Alien=data/alien.')
  strangers = sorted(set(task_targets) - set(task_data))
  if strangers:
    raise UsageError(f'--task_targets names {", ".join(strangers)}, whose '
                     'episodes are not given. Expected --task_data for it too.')
  configuration.parse(gin_files, gin_bindings)
  tasks = configuration.resolve(configuration.TaskSettings)
  specs = {name: tasks.spec(name) for name in task_data}
  roles.check_same_shapes(list(specs.values()))
  replay = _replay_settings()
  planner = configuration.resolve(configuration.MctsPlanner)
  window = roles.window_spec(next(iter(specs.values())), replay, planner)
  conditions = _conditions(next(iter(specs.values())), planner)
  logs = {}
  for name, folder in task_data.items():
    log = data_handshake.open_log(
        folder, specs[name], tasks.allowed_differences)
    log.require_observed_steps()
    if name in task_targets:
      log = teacher_targets.served(log, task_targets[name], conditions)
    logs[name] = log
  need = check_memory(logs, replay.max_size)
  return SharedSets(logs, SharedRecord(
      window=window, block_length=replay.block_length,
      discount=configuration.discount_of(planner),
      tables={name: _describe(log, replay.max_size)
              for name, log in logs.items()}, remote=allow_remote), str(need),
      replay.samples_per_step)


def _replay_settings() -> ReplaySettings:
  """The settings of the stages that are served, which must agree."""
  student, finetune = (
      configuration.resolve(configuration.ReplaySettings, name)
      for name in offline_server.READERS)
  for field in ('unroll_steps', 'td_steps', 'block_length', 'max_size',
                'samples_per_step'):
    values = getattr(student, field), getattr(finetune, field)
    if values[0] != values[1]:
      raise UsageError(
          f'ReplaySettings.{field} is {values[0]} in the stage student and '
          f'{values[1]} in finetune. Expected the same: both share a table.')
  return finetune


def _conditions(task: TaskSpec, planner: Planner) -> Dict[str, Any]:
  """What a teacher's targets must have been made with."""
  model = configuration.resolve(
      configuration.EfficientZeroConfig,
      observation_shape=roles.stacked_shape(task), num_actions=task.num_actions)
  return teacher_targets.conditions(
      planner, configuration.resolve(configuration.TeacherPassSettings),
      configuration.resolve(configuration.ReplaySettings, 'teacher'),
      model.support)


def _describe(log: EpisodeLog, max_size: int) -> SharedTable:
  return SharedTable(
      task=log.task.fingerprint(), columns=log.columns,
      items=min(log.num_steps, max_size), steps=log.num_steps,
      episodes=log.num_episodes, env_steps=log.env_steps, data=log.digest(),
      targets=log.overlay.digest() if log.overlay else '',
      teacher=dict(log.overlay.header.provenance) if log.overlay else {})


class SharedReplay:
  """The server; its tables are filled by `load`."""

  def __init__(self, sets: SharedSets, port: Optional[int] = None,
               samples_per_step: Optional[float] = None):
    """Starts a server with empty tables.

    Args:
      sets: what will be served.
      port: to listen on; a free one if left out. Every network interface is
        listened on, and nobody is asked who they are.
      samples_per_step: how often a step of a set that streams is sampled on
        the average, by all learners together, before it goes; that of
        ReplaySettings if left out.

    Raises:
      UnreachableError: the port is taken.
      UsageError: an impossible number of samples.
    """
    if samples_per_step is None:
      samples_per_step = sets.samples_per_step
    if not samples_per_step > 0:
      raise UsageError(f'samples_per_step is {samples_per_step}. Expected more '
                       'than 0.')
    self._sets = sets
    self._samples_per_step = samples_per_step
    self._streams: Dict[str, LogStream] = {}
    self._strangers: Set[str] = set()
    tables = sets.record.tables
    # A table is not sampled before it is full.
    self._server = ReplayServer(
        [TableSpec(name, table.items, priority_exponent=0.,
                   min_size=table.items) for name, table in tables.items()],
        sets.record.window, port, others=[record_table()])

  @property
  def address(self) -> str:
    """`localhost:<port>`."""
    return self._server.address

  @property
  def port(self) -> int:
    return self._server.port

  def load(self) -> None:
    """Fills all tables, with a progress bar each; then says so to learners.

    Raises:
      DataFileError: a record is damaged.
      UnreachableError: the server does not accept data.
    """
    for name, log in self._sets.logs.items():
      self._fill(name, log)
    sizes = self._server.sizes()
    for name, table in self._sets.record.tables.items():
      if sizes[name] != table.items:
        raise DataFileError(
            self._sets.logs[name].directory, f'the table of {name} holds '
            f'{sizes[name]} steps after loading.',
            hint=f'Expected {table.items}, as the index of the log says.')
    publish(self._server.client(), self._sets.record)

  def watch(self, warn: Callable[[str], None]) -> None:
    """Looks whether the tables are still what they were filled with.

    Reverb asks nobody who they are: whoever reaches the port can change them.

    Args:
      warn: told each other host that is connected though none is allowed.

    Raises:
      IncompatibleDataError: somebody else has added or removed items.
    """
    if not self._sets.record.remote:
      for host in set(strangers(self.port)) - self._strangers:
        self._strangers.add(host)
        warn(f'{host} is connected to port {self.port}, though --allow_remote '
             'is not given. It can read and change the tables; close the port '
             'to it.')
    info = probe(self._server.client())
    for name, table in self._sets.record.tables.items():
      stream = self._streams.get(name)
      self._check_table(info[name], table.items,
                        stream.steps if stream else table.items)
    self._check_table(info[RECORD_TABLE], 1, 1)

  def _check_table(self, info: Any, size: int, inserted: int) -> None:
    found = (info.current_size,
             info.rate_limiter_info.insert_stats.completed)
    if found != (size, inserted):
      raise IncompatibleDataError(
          f'The table {info.name} of {self.address} was changed by somebody '
          f'else: expected {size} items, {inserted} inserted in all, found '
          f'{found[0]} and {found[1]}. Whoever reaches the port can do that; '
          'close it to others, then start the server again, which fills the '
          'tables from the disk.')

  def stream(self, say: Callable[[str], None]) -> bool:
    """Brings the tables that streams go through up to date, once.

    Per `samples_per_step` samples that were drawn from a table, one new step
    comes in and the oldest goes; nothing moves while nobody samples.

    Args:
      say: told each epoch that begins.

    Returns:
      Whether anything was to be done.
    """
    busy = False
    info = probe(self._server.client()) if self._streams else {}
    for name, stream in self._streams.items():
      drawn = info[name].rate_limiter_info.sample_stats.completed
      due = (self._sets.record.tables[name].items
             + int(drawn / self._samples_per_step))
      if stream.steps >= due:
        continue
      busy = True
      # Not all at once: other streams wait.
      stream.advance(min(due, stream.steps + _STREAM_STEPS))
      if stream.new_epoch():
        say(f'{name}: epoch {stream.epoch + 1} begins, {stream.steps:,} steps '
            f'went through the table, {drawn:,} samples were drawn.')
    return busy

  def contents(self) -> List[str]:
    """What each table holds now, e.g. `Alien (1,000 of 9,000 steps)`."""
    found = []
    for name, size in self.sizes().items():
      table = self._sets.record.tables[name]
      whole = f' of {table.steps:,}' if table.streams else ''
      found.append(f'{name} ({size:,}{whole} steps)')
    return found

  def sizes(self) -> Dict[str, int]:
    """{task: items}."""
    return self._server.sizes()

  def stop(self) -> None:
    """Stops serving."""
    self._server.stop()

  def _fill(self, name: str, log: EpisodeLog) -> None:
    writer = self._writer(name, self._sets.record.window)
    table = self._sets.record.tables[name]
    if table.streams:
      stream = self._streams[name] = LogStream(log, writer)
      with StageProgress(f'Loading {name}, epoch 1', total=table.items,
                         unit='steps') as progress:
        stream.advance(table.items, lambda steps: progress.update(
            min(steps, table.items)))
      return
    with StageProgress(f'Loading {name}', total=log.num_steps,
                       unit='steps') as progress:
      load_log(log, writer, progress.update)
    writer.close()

  def _writer(self, name: str, window: WindowSpec) -> ReplayWriter:
    return ReplayWriter(self._server.client(), name, window, lambda *_: 1.,
                        block_length=self._sets.record.block_length)
