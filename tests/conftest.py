"""What every test needs before it starts, and the order of the tests."""

import os
import sys
from typing import List, Tuple

import pytest

# Before anything imports TensorFlow: no banners, no warnings about devices.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

# Slow tests last, so that a small mistake shows within seconds.
_LAST = ('acceptance', 'conformance', 'launchers_test.py', 'end_to_end')
# Of the last folder these first: two processes that share the tests then end at
# about the same time.
_LONGEST = ('kill_test.py', 'shared_offline_test.py', 'roles_test.py',
            'learning_test.py')


def pytest_configure(config: pytest.Config) -> None:
  """Parses absl's flags: tf.test.TestCase reads them, pytest does not."""
  del config
  from absl import flags
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(sys.argv[:1])


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
  """Sorts by how long the tests of a folder take; else the order stays."""
  items.sort(key=_place)


def _place(item: pytest.Item) -> Tuple[int, int]:
  parts = item.path.relative_to(item.config.rootpath).parts
  ranks = [_LAST.index(part) + 1 for part in parts if part in _LAST]
  name = item.path.name
  return max(ranks, default=0), (
      _LONGEST.index(name) if name in _LONGEST else len(_LONGEST))


def pytest_collection_finish() -> None:
  """Makes TF-Agents' environments and test base class work under pytest.

  Without this they stop with `Unable to load multiprocessing context`. It is
  left out where no test has imported TF-Agents, which takes seconds to import.
  """
  if 'tf_agents' not in sys.modules:
    return
  from tf_agents.system import system_multiprocessing
  try:
    system_multiprocessing.enable_interactive_mode()
  except ValueError:
    pass  # it is on already
