"""Libraries of the extra `data`, imported when they are needed."""

import importlib
from typing import Any

from xtra_tf.errors import UsageError


def load_library(module: str, wanted_for: str) -> Any:
  """A module of the extra.

  Args:
    module: e.g. `minari`.
    wanted_for: what needs it, for the message.

  Raises:
    UsageError: it is not installed; says which extra has it.
  """
  try:
    return importlib.import_module(module)
  except ImportError as error:
    raise UsageError(
        f'{wanted_for} needs the extra `data`, which is not installed '
        f'({error}). Expected `pip install "xtra-tf[data]"`.') from error
