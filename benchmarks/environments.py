"""The virtual environments of the peers, under .bench/ in the checkout.

`requirements/NAME.txt` pins what an environment holds. It is made on first use
and made anew when that file changes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from typing import List

from absl import logging
import filelock

from xtra_tf.errors import UsageError
from xtra_tf.runs import atomic

_HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(os.path.dirname(_HERE), '.bench')
NAMES = ('jax', 'lightzero')
# PyTorch's wheels without CUDA are on no other index.
_TORCH_INDEX = 'https://download.pytorch.org/whl/cpu'


def python_of(name: str) -> str:
  """The interpreter of a peer's environment, which is made if need be.

  Raises:
    UsageError: pip could not install it; its log is named.
  """
  # Two at a time would delete each other's work.
  with filelock.FileLock(os.path.join(atomic.make_folder(FOLDER),
                                      f'{name}.lock')):
    _make(name)
  return _interpreter(name)


def _interpreter(name: str) -> str:
  return os.path.join(FOLDER, name, 'bin', 'python')


def log_path(name: str) -> str:
  """Where a process's standard error goes."""
  return os.path.join(atomic.make_folder(os.path.join(FOLDER, 'logs')),
                      f'{name}.log')


def _make(name: str) -> None:
  requirements = os.path.join(_HERE, 'requirements', f'{name}.txt')
  with open(requirements, 'rb') as file:
    wanted = hashlib.sha256(file.read()).hexdigest()
  folder = os.path.join(FOLDER, name)
  stamp = os.path.join(folder, 'requirements.sha256')
  if os.path.exists(stamp):
    with open(stamp, encoding='utf-8') as file:
      if file.read().strip() == wanted:
        return
  logging.info('Making the environment of %s in %s.', name, folder)
  shutil.rmtree(folder, ignore_errors=True)
  subprocess.run([sys.executable, '-m', 'venv', folder], check=True)
  install = [_interpreter(name), '-m', 'pip', 'install', '--no-deps',
             '--no-input', '--disable-pip-version-check', '-r', requirements]
  log = log_path(f'pip-{name}')
  if not _succeeds(install, log):
    # Not at first: where it cannot be reached, pip waits for it for minutes.
    if not _succeeds([*install, '--extra-index-url', _TORCH_INDEX], log):
      raise UsageError(f'pip could not install {requirements}; see {log}. Run '
                       'again when the cause is gone (network, disk).')
  atomic.write_bytes(stamp, wanted.encode())


def _succeeds(command: List[str], log: str) -> bool:
  with open(log, 'ab') as file:
    return not subprocess.run(command, stdout=file, stderr=file,
                              check=False).returncode


if __name__ == '__main__':
  logging.set_verbosity(logging.INFO)
  for peer in NAMES:
    python_of(peer)
