"""Nobody from outside reaches what listens in a private network."""

import os
import socket
import subprocess
import sys
import textwrap
from unittest import mock

from absl.testing import absltest
import portpicker

from xtra_tf.runs import private_network

_SERVER = textwrap.dedent("""
    import os, socket, sys
    listener = socket.create_server(('', int(sys.argv[1])))
    inside = socket.create_connection(('localhost', int(sys.argv[1])), 5)
    print(os.getuid(), os.getgid(), socket.if_nameindex(), flush=True)
    sys.stdin.read()
    """)


def _serve(port, **options):
  return subprocess.Popen(
      [sys.executable, '-c', _SERVER, str(port)], stdin=subprocess.PIPE,
      stdout=subprocess.PIPE, text=True, **options)


class PrivateNetworkTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    reason = private_network.obstacle()
    if reason:
      self.skipTest(f'not allowed here: {reason}')
    self.port = portpicker.pick_unused_port()

  def test_a_server_is_reached_from_within_alone(self):
    with _serve(self.port, preexec_fn=private_network.enter) as server:
      self.addCleanup(server.kill)
      self.assertEqual(
          server.stdout.readline().strip(),
          f"{os.getuid()} {os.getgid()} [(1, 'lo')]")
      with self.assertRaises(ConnectionRefusedError):
        socket.create_connection(('localhost', self.port), 5)
      server.stdin.close()

  def test_without_it_the_server_is_reached(self):
    with _serve(self.port) as server:
      self.addCleanup(server.kill)
      server.stdout.readline()
      socket.create_connection(('localhost', self.port), 5).close()
      server.stdin.close()

  def test_files_stay_readable_and_writable(self):
    path = os.path.join(self.create_tempdir().full_path, 'file')
    subprocess.run(['touch', path], check=True,
                   preexec_fn=private_network.enter)
    self.assertEqual(os.stat(path).st_uid, os.getuid())

  def test_this_process_stays_where_it_is(self):
    before = os.readlink('/proc/self/ns/net')
    self.assertIsNone(private_network.obstacle())
    self.assertEqual(os.readlink('/proc/self/ns/net'), before)


class ObstacleTest(absltest.TestCase):

  def test_what_the_system_says_is_told(self):
    with mock.patch.object(private_network, 'enter',
                           side_effect=OSError(1, 'Operation not permitted')):
      self.assertEqual(private_network.obstacle(),
                       '[Errno 1] Operation not permitted')

  def test_a_child_ends_when_its_parent_does(self):
    script = textwrap.dedent("""
        import os, subprocess, sys
        from xtra_tf.runs import private_network
        def prepare():
          if private_network.obstacle() is None:
            private_network.enter()
          private_network.end_with_parent()
        child = subprocess.Popen(['sleep', '600'], preexec_fn=prepare)
        print(child.pid, flush=True)
        os._exit(0)
        """)
    ended = subprocess.run([sys.executable, '-c', script], text=True,
                           capture_output=True, check=True, timeout=60)
    child = int(ended.stdout)
    for _ in range(500):
      try:
        with open(f'/proc/{child}/stat', encoding='ascii') as file:
          if file.read().split()[2] == 'Z':
            return
      except FileNotFoundError:
        return
      os.sched_yield()
    self.fail(f'process {child} lives')


if __name__ == '__main__':
  absltest.main()
