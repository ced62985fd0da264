"""A small disk of its own, which can be filled."""

import contextlib
import os
import subprocess
from typing import Iterator, Optional


class SmallDisk:
  """A mounted folder, and a file in it that takes its room away."""

  def __init__(self, folder: str):
    self.folder = folder
    self.ballast = os.path.join(folder, 'ballast')

  def fill(self, left: int) -> None:
    """Leaves so many bytes."""
    disk = os.statvfs(self.folder)
    with open(self.ballast, 'wb') as file:
      os.posix_fallocate(
          file.fileno(), 0, disk.f_bavail * disk.f_frsize - left)

  def free(self) -> None:
    """Makes room again."""
    os.unlink(self.ballast)


@contextlib.contextmanager
def mounted(folder: str, size: str) -> Iterator[Optional[SmallDisk]]:
  """Mounts a disk in a folder; None where this user may not mount one."""
  done = subprocess.run(
      ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', folder],
      capture_output=True, check=False).returncode == 0
  try:
    yield SmallDisk(folder) if done else None
  finally:
    if done:
      subprocess.run(['umount', '-l', folder], check=True)
