"""The embedded server: ports, tables, sizes."""

import os
import socket
from unittest import mock

from absl.testing import parameterized
import portpicker
import reverb
import tensorflow as tf

from xtra_tf.errors import UnreachableError, UsageError
from xtra_tf.replay import ReplayServer, TableSpec, WindowSpec

WINDOW = WindowSpec(stack=4, unroll_steps=5, td_steps=5,
                    observation_shape=(96, 96, 3), observation_dtype='uint8',
                    target_shape=(18,))


class WindowSpecTest(tf.test.TestCase):

  def test_atari_window(self):
    self.assertEqual((WINDOW.length, WINDOW.anchor), (14, 3))
    signature = WINDOW.signature('Alien')
    self.assertEqual(
        {k: (tuple(s.shape), s.dtype.name) for k, s in signature.items()},
        {'observation': ((14, 96, 96, 3), 'uint8'), 'action': ((14,), 'int32'),
         'search': ((14, 18), 'float32'), 'scalars': ((14, 8), 'float32'),
         'position': ((14, 3), 'int64')})
    self.assertEqual(signature['action'].name, 'Alien/action')

  def test_impossible_sizes(self):
    with self.assertRaisesRegex(ValueError, 'unroll_steps is 0'):
      WindowSpec(4, 0, 5, (3,), 'float32', (2,))


class ReplayServerTest(parameterized.TestCase, tf.test.TestCase):

  def test_serves_what_was_asked_for(self):
    server = ReplayServer(
        [TableSpec('Alien', 7, 0.6, 2), TableSpec('tiny:catch', 9, 0.)], WINDOW)
    self.addCleanup(server.stop)
    info = reverb.Client(server.address).server_info(2)
    self.assertEqual(info['Alien'].max_size, 7)
    self.assertEqual(info['Alien'].rate_limiter_info.min_size_to_sample, 2)
    self.assertAlmostEqual(
        info['Alien'].sampler_options.prioritized.priority_exponent, 0.6)
    self.assertTrue(info['tiny:catch'].sampler_options.uniform)
    self.assertEqual(server.sizes(), {'Alien': 0, 'tiny:catch': 0})
    self.assertEqual(server.address, f'localhost:{server.port}')
    self.assertIs(server.tf_client(), server.tf_client())

  def test_given_port(self):
    port = portpicker.pick_unused_port()
    for _ in range(2):  # a port is free as soon as its server has stopped
      server = ReplayServer([TableSpec('a', 3)], WINDOW, port)
      self.assertEqual(server.port, port)
      server.stop()

  @parameterized.parameters('', '127.0.0.1')
  def test_port_of_another_program(self, host):
    with socket.socket() as other:
      other.bind((host, 0))
      other.listen()
      port = other.getsockname()[1]
      with self.assertRaisesRegex(
          UnreachableError, f'port {port}.*in use.*Expected a free port'):
        ReplayServer([TableSpec('a', 3)], WINDOW, port)

  def test_port_of_another_replay_server(self):
    server = ReplayServer([TableSpec('a', 3)], WINDOW)
    self.addCleanup(server.stop)
    with self.assertRaisesRegex(
        UnreachableError, f'port {server.port}, in use by this process, '
        f'{os.getpid()}: .*in use.*Expected a free port'):
      ReplayServer([TableSpec('b', 3)], WINDOW, server.port)

  def test_picked_port_that_another_picks_too(self):
    taken = ReplayServer([TableSpec('a', 3)], WINDOW)
    self.addCleanup(taken.stop)
    free = portpicker.pick_unused_port()
    with mock.patch.object(portpicker, 'pick_unused_port',
                           side_effect=[taken.port, free]):
      server = ReplayServer([TableSpec('a', 3)], WINDOW)
    self.addCleanup(server.stop)
    self.assertEqual(server.port, free)

  def test_port_that_is_none(self):
    with self.assertRaisesRegex(UnreachableError, 'port 70000'):
      ReplayServer([TableSpec('a', 3)], WINDOW, 70_000)

  def test_two_tables_of_one_name(self):
    with self.assertRaisesRegex(UsageError, 'one table per task'):
      ReplayServer([TableSpec('a', 3), TableSpec('a', 3)], WINDOW)

  @parameterized.named_parameters(
      ('never_serves', {'max_size': 3, 'min_size': 4}, 'would never serve'),
      ('empty', {'max_size': 0}, 'would never serve'),
      ('exponent', {'max_size': 3, 'priority_exponent': -1.}, 'is -1.0'))
  def test_impossible_tables(self, settings, message):
    with self.assertRaisesRegex(UsageError, message):
      TableSpec('a', **settings)
