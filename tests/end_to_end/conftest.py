"""The one run that several of these tests look at."""

import pickle

import filelock
import pytest

from tests.end_to_end import tiny_run


@pytest.fixture(scope='session')
def killed_run(tmp_path_factory, worker_id):
  """Minutes: eight sessions of the launcher; made once for all processes."""
  folder = tmp_path_factory.getbasetemp()
  if worker_id != 'master':  # one of several, each with a folder of its own
    folder = folder.parent
  kept = folder / 'killed_run.pickle'
  with filelock.FileLock(f'{kept}.lock'):
    if not kept.exists():
      (folder / 'killed_run').mkdir()
      made = tiny_run.make_killed_run(str(folder / 'killed_run'))
      kept.write_bytes(pickle.dumps(made))
  return pickle.loads(kept.read_bytes())
