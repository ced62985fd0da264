"""A port belongs to one server at a time, who is named."""

import os
import socket
import subprocess
import sys
import threading

from absl.testing import absltest
import portpicker

from xtra_tf.errors import UnreachableError
from xtra_tf.runs import PortLock


class PortLockTest(absltest.TestCase):

  def test_one_at_a_time(self):
    lock = PortLock(portpicker.pick_unused_port())
    with self.assertRaisesRegex(
        UnreachableError, f'port {lock.port}, in use by this process, '
        f'{os.getpid()}: .*in use'):
      PortLock(lock.port)
    lock.release()
    PortLock(lock.port).release()

  def test_all_at_the_same_instant(self):
    # Nobody listens on the port yet: to look would find it free.
    port, got, refused = portpicker.pick_unused_port(), [], []
    barrier = threading.Barrier(8)

    def take():
      barrier.wait()
      try:
        got.append(PortLock(port))
      except UnreachableError as error:
        refused.append(error)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    self.assertLen(got, 1)
    self.assertLen(refused, 7)
    got[0].release()

  def test_another_process_is_named_and_a_kill_frees_the_port(self):
    port = portpicker.pick_unused_port()
    holder = subprocess.Popen(
        [sys.executable, '-c', 'from xtra_tf.runs.port_lock import PortLock; '
         f'lock = PortLock({port}); print(1, flush=True); input()'],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    self.addCleanup(holder.wait)
    self.addCleanup(holder.kill)
    holder.stdout.readline()
    with self.assertRaisesRegex(
        UnreachableError,
        f'port {port}, in use by process {holder.pid} .*PortLock'):
      PortLock(port)
    holder.kill()
    holder.wait()
    PortLock(port).release()

  def test_a_program_that_listens_is_named(self):
    with socket.socket() as other:
      other.bind(('127.0.0.1', 0))
      other.listen()
      port = other.getsockname()[1]
      with self.assertRaisesRegex(
          UnreachableError, f'port {port}, in use by this process'):
        PortLock(port)

  def test_port_that_is_none(self):
    with self.assertRaisesRegex(UnreachableError, 'port 70000: .*0-65535'):
      PortLock(70_000)


if __name__ == '__main__':
  absltest.main()
