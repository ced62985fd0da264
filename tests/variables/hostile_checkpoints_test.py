"""No file, whatever it holds, runs code, or takes more than a little memory.

A process of its own reads the corpus under an audit hook, which sees every file
that is opened, every process, socket, import and compilation.
"""

import json
import os
import subprocess
import sys

from absl.testing import absltest
import numpy as np

from tests.variables import hostile_checkpoints
from xtra_tf.errors import DataFileError
from xtra_tf.variables.state_dicts import read_state_dict

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
_MAX_SECONDS = 5.
_MAX_MEGABYTES = 256

# Without the package's __init__, which imports TensorFlow: so the memory that
# is measured is the reader's.
_READER = r"""
import json, os, sys, time, types
package = types.ModuleType('xtra_tf.variables')
package.__path__ = [os.path.join(sys.argv[1], 'xtra_tf', 'variables')]
sys.path.insert(0, sys.argv[1])
import xtra_tf.runs
sys.modules['xtra_tf.variables'] = package
from xtra_tf.errors import DataFileError
from xtra_tf.variables.state_dicts import read_state_dict

folder = sys.argv[2]
read_state_dict(os.path.join(folder, 'good'))  # imports what it needs
paths = sorted(os.path.join(folder, name) for name in os.listdir(folder))
events, current, watching = [], '', False

def watch(event, arguments):
  reads = event == 'open' and arguments[0] == current and not (
      arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
  if watching and not reads:
    events.append(f'{os.path.basename(current)}: {event} {arguments!r}'[:300])

sys.addaudithook(watch)
results = {}
for current in paths:
  begun, message = time.monotonic(), 'no error'
  watching = True
  try:
    read_state_dict(current)
  except DataFileError as error:
    message = str(error)
  except BaseException as error:
    message = f'not a DataFileError: {error!r}'
  watching = False
  results[os.path.basename(current)] = [time.monotonic() - begun, message]
if sys.argv[3] == 'misbehave':
  watching = True
  eval('1')
  os.system('true')
# Not ru_maxrss, which begins with that of the process before exec.
with open('/proc/self/status') as status:
  peak, = [line.split()[1] for line in status if line.startswith('VmHWM')]
print(json.dumps({'results': results, 'events': events,
                  'megabytes': int(peak) / 1024}))
"""


def _read_all(folder, conduct='behave'):
  result = subprocess.run(
      [sys.executable, '-c', _READER, _ROOT, folder, conduct],
      capture_output=True, text=True, timeout=300, check=False)
  assert not result.returncode, result.stderr
  return json.loads(result.stdout)


class HostileCheckpointsTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.write('good', hostile_checkpoints.good())

  def write(self, name, data):
    with open(os.path.join(self.folder, name), 'wb') as file:
      file.write(data)

  def test_corpus(self):
    corpus = hostile_checkpoints.corpus()
    self.assertGreaterEqual(len(corpus), 40)
    for name, data in corpus.items():
      self.write(name, data)
    found = _read_all(self.folder)
    self.assertEqual(found['events'], [])
    self.assertLess(found['megabytes'], _MAX_MEGABYTES)
    self.assertEqual(found['results'].pop('good')[1], 'no error')
    self.assertLen(found['results'], len(corpus))
    for name, (seconds, message) in found['results'].items():
      with self.subTest(name):
        self.assertLess(seconds, _MAX_SECONDS)
        self.assertStartsWith(message, os.path.join(self.folder, name) + ':')
        self.assertLess(len(message), 2000)
    self.assertFalse(os.path.exists(hostile_checkpoints.COMMAND.split()[1]))

  def test_the_hook_sees_what_it_is_there_to_see(self):
    events = ' '.join(_read_all(self.folder, 'misbehave')['events'])
    self.assertIn('os.system', events)
    self.assertIn('compile', events)

  def test_messages_say_what_was_tried(self):
    messages = {'pickle_os_system': 'asks for .os.system., a name that is not',
                'pickle_newobj': 'asks for .os.system.',
                'pickle_inst': 'uses the opcode STRING',
                'pickle_memo_of_gigabytes': 'holds no dictionary',
                'pickle_storage_too_large': 'storage of 24 bytes, expected 4',
                'pickle_storage_outside': 'in a storage that the file does not',
                'pickle_expanded': 'reaches beyond its storage of 6 numbers',
                'pickle_views_upon_views': 'have 8 numbers together, but',
                'pickle_opcodes': 'more than 100000 opcodes',
                'zip_traversal': 'a member named .archive/../../x.',
                'zip_overlapping': 'reaches into the next',
                'zip_wrong_checksum': 'member data/0 is damaged',
                'zip_old_format': 'does not begin like a zip',
                'zip_half': 'is truncated after'}
    corpus = hostile_checkpoints.corpus()
    for name, message in messages.items():
      self.write(name, corpus[name])
      with self.subTest(name), self.assertRaisesRegex(DataFileError, message):
        read_state_dict(os.path.join(self.folder, name))


class DamageTest(absltest.TestCase):
  """Any damage ends in a DataFileError, or changes nothing that is read."""

  def setUp(self):
    super().setUp()
    self.path = os.path.join(self.create_tempdir().full_path, 'model.p')
    self.whole = hostile_checkpoints.good()
    self.random = np.random.default_rng(0)

  def read(self, data):
    """The tensors, or None if the file was refused."""
    with open(self.path, 'wb') as file:
      file.write(data)
    try:
      return read_state_dict(self.path).tensors
    except DataFileError as error:
      self.assertIn(self.path, str(error))
      return None

  def test_truncation_anywhere_is_refused(self):
    for length in {0, 1, 4, *self.random.integers(len(self.whole), size=100)}:
      self.assertIsNone(self.read(self.whole[:length]), length)

  def test_flipped_bytes_are_refused_or_harmless(self):
    expected = self.read(self.whole)['a.weight']
    for position in range(len(self.whole)):
      data = bytearray(self.whole)
      data[position] ^= 1 << self.random.integers(8)
      tensors = self.read(bytes(data))
      if tensors is not None:
        self.assertEqual(list(tensors), ['a.weight'])
        np.testing.assert_array_equal(tensors['a.weight'], expected)

  def test_mutated_pickles_end_in_one_type_of_error(self):
    """With a right checksum, so that the interpreter sees them."""
    plain = hostile_checkpoints.state_dict(
        ('a', hostile_checkpoints.tensor()),
        ('b', hostile_checkpoints.tensor()))
    refused = 0
    for _ in range(1000):
      data = bytearray(plain)
      for position in self.random.integers(len(data), size=3):
        data[position] = self.random.integers(256)
      refused += self.read(hostile_checkpoints.archive(bytes(data))) is None
    self.assertGreater(refused, 750)


if __name__ == '__main__':
  absltest.main()
