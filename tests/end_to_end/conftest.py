"""The one run that several of these tests look at."""

import pytest

from tests.end_to_end import tiny_run


@pytest.fixture(scope='session')
def killed_run(tmp_path_factory):
  """Minutes: eight sessions of the launcher."""
  return tiny_run.make_killed_run(str(tmp_path_factory.mktemp('killed_run')))
