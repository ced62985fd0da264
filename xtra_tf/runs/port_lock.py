"""A port for one server at a time, and who has it."""

import errno
import os
import socket
import struct
from typing import List, Optional, Tuple

import psutil

from xtra_tf.errors import UnreachableError

# A name of the kernel's, not a file: bound by one process at a time, gone when
# it ends, however it ends, and of this host's network as the port is.
_NAME = '\0xtra_tf port {port}'
_CREDENTIALS = struct.Struct('3i')  # pid, uid, gid


class PortLock:
  """A port of this host that one server of xtra_tf has at a time.

  Reverb shares a port silently with whoever listens on it already
  (SO_REUSEPORT), and clients are then divided between two servers. To look
  whether a port is free and then to listen on it are two things, between which
  another can do the same: who holds the lock does both alone.
  """

  def __init__(self, port: int):
    """Takes the port.

    Raises:
      UnreachableError: it is taken, or is none; names the port and, where the
        system tells, the process that has it.
    """
    self.port = port
    self._lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    name = _NAME.format(port=port)
    try:
      try:
        self._lock.bind(name)
        self._lock.listen()
      except OSError as error:
        raise _taken(port, error, _holder_of_lock(name)) from error
      _check_nobody_listens(port)
    except UnreachableError:
      self._lock.close()
      raise

  def release(self) -> None:
    """Gives the port back."""
    self._lock.close()


def _taken(port: int, error: BaseException,
           holder: Optional[int]) -> UnreachableError:
  by = '' if holder is None else f', in use by {_describe(holder)}'
  return UnreachableError(
      f'The replay server cannot listen on port {port}{by}: {error}. Expected '
      'a free port; end the program that uses it, or leave the port out.')


def _check_nobody_listens(port: int) -> None:
  """Refuses a port on which something else listens already."""
  for family, host in _families():
    with socket.socket(family, socket.SOCK_STREAM) as probe:
      # A port that was closed a moment ago is free.
      probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      try:
        probe.bind((host, port))
      except (OSError, OverflowError) as error:
        raise _taken(port, error, _listener(port)) from error


def _families() -> List[Tuple[socket.AddressFamily, str]]:
  families = [(socket.AF_INET, '')]
  if socket.has_ipv6:
    try:
      socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
      families.append((socket.AF_INET6, '::'))
    except OSError as error:
      # Compiled in, but switched off on this machine.
      if error.errno != errno.EAFNOSUPPORT:
        raise
  return families


def _holder_of_lock(name: str) -> Optional[int]:
  """The process that holds a lock; the kernel knows whom one connects to."""
  with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
    peer.setblocking(False)
    try:
      peer.connect(name)
      found = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED,
                              _CREDENTIALS.size)
    except OSError:  # it has just ended
      return None
  return int(_CREDENTIALS.unpack(found)[0])


def _listener(port: int) -> Optional[int]:
  """The process that listens on a port; None if it is another user's."""
  try:
    found = psutil.net_connections('tcp')
  except (psutil.Error, OSError):
    return None
  return next((c.pid for c in found
               if c.status == psutil.CONN_LISTEN and c.laddr
               and c.laddr.port == port and c.pid is not None), None)


def _describe(pid: int) -> str:
  """`process 123 (python -m launchers.replay_server --port=8000)`."""
  if pid == os.getpid():
    return f'this process, {pid}'
  try:
    command = ' '.join(psutil.Process(pid).cmdline())
  except (psutil.Error, OSError):
    command = ''
  return f'process {pid}' + (f' ({command[:200]})' if command else '')
