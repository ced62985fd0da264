"""This host and others."""

import collections
import socket
from unittest import mock

from absl.testing import absltest, parameterized
import psutil

from xtra_tf.errors import UsageError
from xtra_tf.experiments import remote_hosts

Place = collections.namedtuple('Place', 'ip port')
Connection = collections.namedtuple('Connection', 'laddr raddr')


class RemoteHostsTest(parameterized.TestCase):

  @parameterized.parameters('localhost:8000', '127.0.0.1:8000', '0.0.0.0:1')
  def test_this_host(self, address):
    self.assertTrue(remote_hosts.is_this_host(address))

  def test_own_name(self):
    self.assertTrue(remote_hosts.is_this_host(f'{socket.gethostname()}:8000'))

  @parameterized.parameters('192.0.2.1:8000', '[2001:db8::1]:8000')
  def test_addresses_of_nobody(self, address):
    self.assertFalse(remote_hosts.is_this_host(address))

  def test_unknown_host(self):
    with mock.patch.object(socket, 'getaddrinfo',
                           side_effect=socket.gaierror('no such name')):
      with self.assertRaisesRegex(UsageError, 'nowhere:1 is not known: no su'):
        remote_hosts.is_this_host('nowhere:1')

  def test_a_connection_from_here_is_nobody_elses(self):
    with socket.socket() as server, socket.socket() as client:
      server.bind(('127.0.0.1', 0))
      server.listen()
      client.connect(server.getsockname())
      other, _ = server.accept()
      with other:
        self.assertEmpty(remote_hosts.strangers(server.getsockname()[1]))

  def test_connections_from_elsewhere(self):
    connections = [
        Connection(Place('::ffff:10.0.0.1', 80), Place('::ffff:10.0.0.9', 5)),
        Connection(Place('::ffff:10.0.0.1', 80), Place('::ffff:10.0.0.9', 6)),
        Connection(Place('10.0.0.1', 80), Place('10.0.0.1', 5)),
        Connection(Place('::1', 80), Place('::1', 5)),
        Connection(Place('::', 80), ()),
        Connection(Place('10.0.0.1', 81), Place('10.0.0.8', 5)),
        Connection(Place('10.0.0.1', 80), Place('10.0.0.7', 5))]
    with mock.patch.object(psutil.Process, 'net_connections',
                           return_value=connections):
      self.assertEqual(remote_hosts.strangers(80), ['10.0.0.7', '10.0.0.9'])


if __name__ == '__main__':
  absltest.main()
