"""Bounds within which a reader has to refuse a hostile file."""

import contextlib
import resource
import time
from typing import Iterator

import psutil


@contextlib.contextmanager
def limited(seconds: float = 5., more_bytes: int = 2**30) -> Iterator[None]:
  """Fails if the block takes long; a greedy one runs out of memory.

  Args:
    seconds: of this process's own time.
    more_bytes: of address space beyond what the process has now.

  Raises:
    AssertionError: it took longer.
    MemoryError: it asked for more; raised where it asked.
  """
  before = resource.getrlimit(resource.RLIMIT_AS)
  most = psutil.Process().memory_info().vms + more_bytes
  begun = time.process_time()
  resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_AS, before)
  taken = time.process_time() - begun
  if taken > seconds:
    raise AssertionError(f'It took {taken:.1f} s, expected at most {seconds}.')
