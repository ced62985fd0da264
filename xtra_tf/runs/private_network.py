"""A network of their own for processes of one machine.

A Reverb server listens on every interface and asks nobody who they are. In a
network namespace of its own there is only the loopback interface, so that no
other host, and no other program of this one, reaches it.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
from typing import Optional

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_INTERFACE = struct.Struct('16sH14s')  # of ifreq: name, flags, the rest


def enter() -> None:
  """Puts this process into a user and a network namespace of its own.

  Files, user and group stay as they are. To be called in a process of one
  thread: as `preexec_fn` of a child.

  Raises:
    OSError: the system does not allow it.
  """
  libc = ctypes.CDLL(None, use_errno=True)
  user, group = os.getuid(), os.getgid()
  if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))
  # The kernel wants this said before a group is mapped.
  for name, text in (('setgroups', 'deny'), ('uid_map', f'{user} {user} 1'),
                     ('gid_map', f'{group} {group} 1')):
    with open(f'/proc/self/{name}', 'w', encoding='ascii') as file:
      file.write(text)
  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
    name, flags, rest = _INTERFACE.unpack(fcntl.ioctl(
        anything, _SIOCGIFFLAGS, _INTERFACE.pack(b'lo', 0, b'')))
    fcntl.ioctl(anything, _SIOCSIFFLAGS,
                _INTERFACE.pack(name, flags | _IFF_UP, rest))


def obstacle() -> Optional[str]:
  """Why this system does not allow `enter`; None if it does."""
  receiver, sender = os.pipe()
  child = os.fork()
  if not child:
    # Nothing but system calls: the parent may have had threads.
    try:
      enter()
    except BaseException as error:
      os.write(sender, str(error).encode()[:500])
    os._exit(0)
  os.close(sender)
  with os.fdopen(receiver, 'rb') as file:
    text = file.read().decode()
  os.waitpid(child, 0)
  return text or None


def end_with_parent() -> None:
  """Has the kernel send SIGTERM to this process when its parent dies.

  To be called after `enter`, which makes the kernel forget it.
  """
  ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
