"""Which hosts are this one, and who else is connected to a port of ours."""

import socket
from typing import List

import psutil

from xtra_tf.errors import UsageError


def is_this_host(address: str) -> bool:
  """Whether a server's address is one of this host.

  Args:
    address: `HOST:PORT`.

  Raises:
    UsageError: the host has no address.
  """
  host = address.rpartition(':')[0].strip('[]')
  try:
    found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
  except OSError as error:
    raise UsageError(f'The host of the address {address} is not known: {error}.'
                     ' Expected HOST:PORT, e.g. localhost:8000.') from error
  return all(_can_be_bound(family, place) for family, _, _, _, place in found)


def strangers(port: int) -> List[str]:
  """Addresses of other hosts that are connected to this process's port.

  Args:
    port: that this process listens on.

  Returns:
    Sorted; none where the system does not tell.
  """
  try:
    connections = psutil.Process().net_connections('tcp')
  except (psutil.Error, OSError):
    return []
  found = set()
  for connection in connections:
    if connection.raddr and connection.laddr.port == port:
      here, there = (_plain(place.ip) for place in
                     (connection.laddr, connection.raddr))
      # Who talks to himself has one address at both ends.
      if here != there and not there.startswith('127.') and there != '::1':
        found.add(there)
  return sorted(found)


def _can_be_bound(family: int, place: tuple) -> bool:
  """Only this host's own addresses can be."""
  with socket.socket(family, socket.SOCK_DGRAM) as probe:
    try:
      probe.bind(place)
    except OSError:
      return False
  return True


def _plain(ip: str) -> str:
  """An IPv4 address as itself where IPv6 wraps it."""
  return ip[len('::ffff:'):] if ip.startswith('::ffff:') else ip
