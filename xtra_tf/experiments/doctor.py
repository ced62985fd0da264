"""Finds what is wrong with a machine or an installation before a run does.

Everything is imported inside the checks: a broken package is a finding, not a
traceback.
"""

import contextlib
import glob
import importlib
import importlib.metadata
import io
import os
import platform
import queue
import re
import socket
import sys
import tempfile
import threading
from typing import Any, Callable, List, NamedTuple, Optional

from xtra_tf.errors import StorageError
from xtra_tf.runs import check_free_space, format_bytes
from xtra_tf.runs.free_space import existing_parent, free_bytes

# What the demo needs at its peak, with room to spare.
NEEDED_MEMORY_BYTES = 4 * 2**30
NEEDED_DISK_BYTES = 2 * 2**30
_REVERB_TIMEOUT = 60.  # seconds
_REINSTALL = ('Install the locked versions anew: remove .venv, then `make '
              'venv`.')
# Beginnings, up to a dot, or whole versions.
_VERSIONS = {'numpy': '1.', 'typing-extensions': '4.5.0', 'protobuf': '4.',
             'tensorflow': '2.15.', 'dm-reverb': '0.14.', 'tf-agents': '0.19.',
             'gymnasium': '1.'}
_CGROUP_LIMIT = '/sys/fs/cgroup/memory.max'
_DATED = re.compile(r'\d{4}-\d{2}-\d{2}T.+')


class Check(NamedTuple):
  """One line of the doctor's findings."""
  name: str
  ok: bool
  found: str
  advice: str  # what to do if it is not ok


class _FindingError(Exception):
  """Something is not as it should be; the text says what was found."""


def run_checks(root_dir: Optional[str] = None) -> List[Check]:
  """Looks at everything that a run relies on; takes about ten seconds.

  Args:
    root_dir: of the run that is to be started or gone on with; if None, only
      the disk of the working directory is looked at. Nothing is changed in it.

  Returns:
    One line per check; never raises because of what is checked.
  """
  place = root_dir or os.getcwd()
  checks = [
      _check('Python 3.11', python_version,
             'Make the environment with Python 3.11: `make venv`.'),
      _check('typing-extensions 4.5.0',
             lambda: version_is('typing-extensions', '4.5.0'), _REINSTALL),
      _check('pkg_resources', lambda: imports('pkg_resources', 'setuptools'),
             'TensorBoard needs setuptools below 81. ' + _REINSTALL),
      _check('NumPy 1', lambda: version_is('numpy', '1.'), _REINSTALL),
      _check('processor', processor,
             'TensorFlow needs a 64-bit x86 processor with AVX; use another '
             'machine.')]
  if not checks[-1].ok:
    # TensorFlow would end the process without a word.
    return checks + _resources(place, root_dir)
  checks += [
      _check('TensorFlow 2.15', lambda: imports('tensorflow', version='2.15.'),
             _REINSTALL),
      _check('Reverb 0.14',
             lambda: imports('reverb', 'dm-reverb', '0.14.'), _REINSTALL),
      _check('TF-Agents 0.19',
             lambda: imports('tf_agents', 'tf-agents', '0.19.'), _REINSTALL),
      _check('Gymnasium 1', lambda: imports('gymnasium', version='1.'),
             _REINSTALL),
      _check('Atari games', atari_roms,
             'Install the extra: pip install "xtra-tf[atari]".'),
      _check('Atari emulator', atari_emulator, _REINSTALL)]
  checks += _resources(place, root_dir)
  checks += [
      _check('replay server', reverb_round_trip,
             'Look for a proxy or firewall on the loopback interface; '
             + _REINSTALL[0].lower() + _REINSTALL[1:]),
      _check('gradient step', gradient_step, _REINSTALL)]
  return checks


def other_versions() -> List[str]:
  """What is installed in another version than everything was written for.

  For a program that has failed in a way that it has no words for: packages of
  the wrong versions do, when they are imported or later. Looks at no more than
  the installed metadata.

  Returns:
    E.g. `numpy 2.1.0 (expected 1.)`.
  """
  found = []
  for distribution, expected in _VERSIONS.items():
    try:
      version_is(distribution, expected)
    except _FindingError as error:
      found.append(f'{error} (expected {expected})')
  return found


def startup_checks(root_dir: str, atari: bool) -> List[Check]:
  """The findings that would spoil a run without a word; under two seconds.

  Args:
    root_dir: of the run.
    atari: whether Atari games are to be played.

  Returns:
    One line per check.
  """
  checks = [
      _check('typing-extensions 4.5.0',
             lambda: version_is('typing-extensions', '4.5.0'), _REINSTALL),
      _check('pkg_resources', lambda: imports('pkg_resources', 'setuptools'),
             'TensorBoard needs setuptools below 81. ' + _REINSTALL),
      _check('TensorFlow 2.15', lambda: imports('tensorflow', version='2.15.'),
             _REINSTALL),
      _check('Reverb 0.14',
             lambda: imports('reverb', 'dm-reverb', '0.14.'), _REINSTALL),
      _check('free port', free_port,
             'Let this user bind ports on the loopback interface.'),
      _check('Reverb checkpoints', lambda: reverb_folders(root_dir),
             'Move everything else out of that folder.')]
  if atari:
    checks.append(_check('Atari emulator', atari_emulator, _REINSTALL))
  return checks


def _resources(place: str, root_dir: Optional[str]) -> List[Check]:
  checks = [
      _check('free port', free_port,
             'Let this user bind ports on the loopback interface.'),
      _check(f'{format_bytes(NEEDED_MEMORY_BYTES)} of memory', memory,
             'Close other programs, or use a machine with 8 GiB.'),
      _check(f'{format_bytes(NEEDED_DISK_BYTES)} on the disk',
             lambda: disk(place),
             'Make room, or choose a --root_dir on another disk.')]
  if root_dir is not None:
    checks += [
        _check('--root_dir writable', lambda: writable(root_dir),
               'Choose a --root_dir that this user may write to.'),
        _check('Reverb checkpoints', lambda: reverb_folders(root_dir),
               'Move everything else out of that folder: Reverb deletes what '
               'it does not know, or its own newest checkpoint.')]
  return checks


def _check(name: str, look: Callable[[], str], advice: str) -> Check:
  try:
    # Some packages greet with banners.
    with contextlib.redirect_stderr(io.StringIO()):
      return Check(name, True, look(), advice)
  except Exception as error:  # whatever it is, it is a line of the report
    text = ' '.join(str(error).split()) or 'no explanation'
    if not isinstance(error, _FindingError):
      text = f'{type(error).__name__}: {text}'
    return Check(name, False, text if len(text) <= 300 else text[:297] + '...',
                 advice)


def python_version() -> str:
  """Only Python 3.11 has wheels of everything."""
  if sys.version_info[:2] != (3, 11):
    raise _FindingError(platform.python_version())
  return platform.python_version()


def version_is(distribution: str, expected: str) -> str:
  """The installed version is the expected one, or begins with it.

  Args:
    distribution: name of the installed distribution.
    expected: a version, or its beginning up to a dot.
  """
  try:
    found = importlib.metadata.version(distribution)
  except importlib.metadata.PackageNotFoundError as error:
    raise _FindingError(f'{distribution} is not installed') from error
  if found != expected and not (
      expected.endswith('.') and found.startswith(expected)):
    raise _FindingError(f'{distribution} {found}')
  return found


def imports(module: str, distribution: Optional[str] = None,
            version: Optional[str] = None) -> str:
  """A package of the expected version can be imported.

  Args:
    module: what to import.
    distribution: that it belongs to; the module's own name if not given.
    version: a version or its beginning up to a dot; any if not given.
  """
  found = (version_is(distribution or module, version) if version else
           importlib.metadata.version(distribution or module))
  importlib.import_module(module)
  return found


def processor() -> str:
  """TensorFlow's wheels hold AVX instructions; without them it just dies."""
  machine = platform.machine()
  if machine not in ('x86_64', 'AMD64'):
    raise _FindingError(machine)
  try:
    with open('/proc/cpuinfo', encoding='utf-8') as file:
      flags = next((line for line in file if line.startswith('flags')), '')
  except OSError:
    return machine  # not told; TensorFlow will show
  if 'avx' not in flags.split():
    raise _FindingError(f'{machine} without AVX')
  return f'{machine}, {len(os.sched_getaffinity(0))} processors'


def atari_roms() -> str:
  """ale-py brings the games along."""
  version = version_is('ale-py', '0.12.1')
  roms = importlib.import_module('ale_py.roms')
  names = roms.get_all_rom_ids()
  if not names:
    raise _FindingError(f'ale-py {version} without any game')
  return f'ale-py {version}, {len(names)} games'


def atari_emulator() -> str:
  """The games play here as they were recorded elsewhere."""
  self_check = importlib.import_module('xtra_tf.environments.self_check')
  problems = self_check.check_atari()
  if problems:
    raise _FindingError(' '.join(problems))
  return 'frames and lives as recorded'


def free_port() -> str:
  """A port can be bound and reached."""
  with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
    server.bind(('localhost', 0))
    server.listen(1)
    port = server.getsockname()[1]
    with socket.create_connection(('localhost', port), timeout=5):
      return f'port {port} could be bound and reached'


def memory() -> str:
  """Memory that is available, within the container's limit if there is one."""
  psutil: Any = importlib.import_module('psutil')
  state = psutil.virtual_memory()
  total, available = state.total, state.available
  with contextlib.suppress(OSError, ValueError):
    with open(_CGROUP_LIMIT, encoding='utf-8') as file:
      limit = int(file.read())
    total, available = min(total, limit), min(available, limit)
  found = f'{format_bytes(available)} available of {format_bytes(total)}'
  if available < NEEDED_MEMORY_BYTES:
    raise _FindingError(found)
  return found


def disk(path: str) -> str:
  """Room where the run would write."""
  found = f'{format_bytes(free_bytes(path))} free at {existing_parent(path)}'
  try:
    check_free_space(path, NEEDED_DISK_BYTES)
  except StorageError as error:
    raise _FindingError(found) from error
  return found


def writable(root_dir: str) -> str:
  """A file can be made in root_dir, or where it would be made."""
  place = existing_parent(root_dir)
  if not os.path.isdir(place):
    raise _FindingError(f'{place} is a file')
  try:
    with tempfile.TemporaryFile(dir=place):
      return place
  except OSError as error:
    raise _FindingError(f'{place}: {error.strerror}') from error


def reverb_folders(root_dir: str) -> str:
  """Reverb's checkpoint folders hold its dated folders and nothing else.

  Reverb keeps the last entry by name and deletes the others: with a `README`
  in the folder that is the new checkpoint.
  """
  # Of the run, of a stage (student), of a stage's task (teacher/Alien).
  patterns = [os.path.join(glob.escape(root_dir), *between, 'replay', 'reverb')
              for between in ((), ('*',), ('*', '*'))]
  folders = [folder for pattern in patterns for folder in glob.glob(pattern)
             if os.path.isdir(folder)]
  foreign = [os.path.join(folder, name) for folder in folders
             for name in sorted(os.listdir(folder))
             if not _DATED.fullmatch(name)
             or not os.path.isdir(os.path.join(folder, name))]
  if foreign:
    raise _FindingError('not of Reverb: ' + ', '.join(foreign[:5]))
  return f'{len(folders)} folders in order' if folders else 'none yet'


def reverb_round_trip() -> str:
  """An item goes into an in-process replay server and comes out again."""
  outcome: 'queue.Queue[Any]' = queue.Queue()

  def work() -> None:
    try:
      outcome.put(_reverb_round_trip())
    except Exception as error:  # handed to the waiting thread
      outcome.put(error)

  # Reverb waits without end where it cannot connect, so it gets a thread that
  # can be left behind.
  threading.Thread(target=work, daemon=True).start()
  try:
    result = outcome.get(timeout=_REVERB_TIMEOUT)
  except queue.Empty as error:
    raise _FindingError(f'no answer in {_REVERB_TIMEOUT:.0f} s') from error
  if isinstance(result, Exception):
    raise result
  return result


def _reverb_round_trip() -> str:
  import numpy as np
  import reverb
  server = reverb.Server([reverb.Table.queue('check', max_size=1)])
  try:
    client = reverb.Client(f'localhost:{server.port}')
    client.server_info(timeout=10)
    client.insert(np.array([3., 4.], np.float32), {'check': 1.})
    sample = next(iter(client.sample('check', num_samples=1)))
    found = np.asarray(sample[0].data[0]).tolist()
    if found != [3., 4.]:
      raise _FindingError(f'sent [3.0, 4.0], got back {found}')
  finally:
    server.stop()
  return 'an item came back unchanged'


def gradient_step() -> str:
  """One step of gradient descent, compiled, gives the number it must give."""
  import tensorflow as tf
  layer = tf.keras.layers.Dense(1, use_bias=False, kernel_initializer='ones')
  layer.build([1, 2])
  optimizer = tf.keras.optimizers.legacy.SGD(0.25)

  @tf.function
  def step() -> None:
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(layer(tf.constant([[1., 2.]]))**2)
    gradients = tape.gradient(loss, layer.trainable_variables)
    optimizer.apply_gradients(zip(gradients, layer.trainable_variables))

  step()
  # d/dw (w x)^2 = 2 (w x) x = 6 x, so w = 1 - 0.25 * 6 x.
  found = layer.kernel.numpy().ravel().tolist()
  if found != [-0.5, -2.]:
    raise _FindingError(f'weights {found}, expected [-0.5, -2.0]')
  devices = [d.device_type for d in tf.config.list_physical_devices()]
  return 'on ' + ', '.join(sorted(set(devices)))
