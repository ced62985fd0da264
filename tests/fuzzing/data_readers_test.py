"""Readers of data meet damaged and hostile files: a typed error or good data.

The examples are the same in every session.
"""

import gzip
import io
import json
import os

from absl.testing import absltest
import hypothesis
from hypothesis import strategies as st
import numpy as np

from tests.fuzzing import mutations
from tests.offline_data import dqn_replay_test, efficientzero_replay_test
from xtra_tf.episodes import (
  EpisodeLog,
  EpisodeLogWriter,
  StepRow,
  block_index,
  checked_json,
  write_seal,
)
from xtra_tf.errors import DataFileError, IncompatibleDataError
from xtra_tf.offline_data.formats import open_source
from xtra_tf.offline_data.npy_stream import NpyStream
from xtra_tf.tasks import TaskSpec
from xtra_tf.testing.resource_limits import limited

_TYPED = (DataFileError, IncompatibleDataError)
_TASK = TaskSpec(name='tiny:fake', observation_shape=(4, 4, 1),
                 observation_dtype='uint8', num_actions=3,
                 legal_actions=(0, 1, 2), action_names=('N', 'L', 'R'))


def write_log(directory):
  writer = EpisodeLogWriter(directory, _TASK, ('root_value',), block_steps=4)
  for length in (5, 3, 6):
    for step in range(length):
      last = step == length - 1
      writer.append(StepRow(
          observation=np.full([4, 4, 1], step, np.uint8),
          action=0 if last else step % 3, search=None, reward=0.,
          raw_reward=0., terminal=False, truncated=False, life_loss=False,
          real=not last, root_value=1., bootstrap_value=None,
          has_search=False, env_step=step))
    writer.end_episode('cut')
  writer.close()


class Files(absltest.TestCase):
  """A data set whose files are replaced and put back."""

  def setUp(self):
    super().setUp()
    self.folder = os.path.join(self.create_tempdir().full_path, 'set')

  def remember(self):
    self.contents = {}
    for parent, _, names in os.walk(self.folder):
      for name in names:
        path = os.path.join(parent, name)
        with open(path, 'rb') as file:
          self.contents[path] = file.read()

  def paths(self):
    return st.sampled_from(sorted(self.contents))

  def with_file(self, path, content, read):
    """What `read` does while a file has another content."""
    with open(path, 'wb') as file:
      file.write(content)
    try:
      with limited():
        read()
    except _TYPED as error:
      self.assertLess(len(str(error)), 3000)
      return error
    finally:
      with open(path, 'wb') as file:
        file.write(self.contents[path])
    return None


class EpisodeLogTest(Files):

  def setUp(self):
    super().setUp()
    write_log(self.folder)
    write_seal(self.folder)
    self.remember()

  def read(self):
    EpisodeLog(self.folder).verify()

  def test_damage_never_passes(self):
    @mutations.fuzz(100)
    @hypothesis.given(self.paths(), mutations.edits())
    def check(path, some):
      content = mutations.apply(self.contents[path], some)
      error = self.with_file(path, content, self.read)
      if content != self.contents[path]:
        self.assertIsNotNone(error, path)
    check()

  def test_lines_with_right_checksums(self):
    os.unlink(os.path.join(self.folder, 'seal.json'))
    path = os.path.join(self.folder, '0', block_index.INDEX_NAME)
    lines = self.contents[path].splitlines(keepends=True)
    names = sorted(set(json.loads(lines[0])) - {'check'})

    @mutations.fuzz(100)
    @hypothesis.given(
        st.integers(0, len(lines) - 1), st.dictionaries(
            st.sampled_from(names), mutations.json_values, min_size=1,
            max_size=3))
    def check(number, changes):
      fields = {**json.loads(lines[number]), **changes}
      del fields['check']
      fields['check'] = block_index._check_of(fields)
      changed = list(lines)
      changed[number] = json.dumps(fields).encode() + b'\n'
      self.with_file(path, b''.join(changed), self.read)
    check()

  def test_headers_with_right_checksums(self):
    path = os.path.join(self.folder, 'dataset.json')
    content = json.loads(self.contents[path])
    del content['check']
    fields = [(name,) for name in content] + [
        ('task', name) for name in content['task']]

    @mutations.fuzz(100)
    @hypothesis.given(st.sampled_from(fields), mutations.json_values)
    def check(field, value):
      changed = json.loads(json.dumps(content))
      place = changed['task'] if len(field) == 2 else changed
      place[field[-1]] = value
      self.with_file(path, checked_json.encode(changed), self.read)
    check()


class NpyTest(Files):

  def test_headers(self):
    os.makedirs(self.folder)
    path = os.path.join(self.folder, 'a.npy')
    self.contents = {path: b''}
    sizes = st.one_of(st.integers(-3, 5), st.integers(-2**70, 2**70),
                      st.floats(), st.none())
    shapes = st.lists(sizes, max_size=3).map(tuple).map(repr)
    types = st.sampled_from(
        ('|u1', '<f4', '>i8', '|O', '|S4', '<U3', '|V7', '|S0', 'x', '', '<M8',
         '|S99999999999', "[('a', '|O')]", '3u1', '(2,)i4'))
    texts = st.one_of(
        st.tuples(types, shapes, st.sampled_from(('True', 'False', '3'))).map(
            lambda t: f"{{'descr': {t[0]!r}, 'fortran_order': {t[2]}, "
                      f"'shape': {t[1]}, }}"), st.text(max_size=30))

    def read():
      with NpyStream(path) as stream:
        while len(stream.read(2)):
          pass

    @mutations.fuzz(100)
    @hypothesis.given(texts, st.integers(0, 3), st.integers(0, 2),
                      st.one_of(st.none(), st.integers(0, 2**16 - 1)),
                      st.binary(max_size=40), mutations.edits(2))
    def check(text, major, minor, length, rest, some):
      body = text.encode('utf-8', 'surrogatepass')
      size = len(body) if length is None else length
      head = b'\x93NUMPY' + bytes([major, minor]) + size.to_bytes(
          2 if major == 1 else 4, 'little')
      content = head + body + rest
      self.with_file(path, content, read)
      self.with_file(path, mutations.apply(content, some), read)
    check()


class DqnReplayTest(Files):

  def setUp(self):
    super().setUp()
    dqn_replay_test.write_memory(
        self.folder, dqn_replay_test.records(['rrt', '000rr']), add_count=8)
    self.remember()

  def read(self):
    for _ in open_source('dqn_replay', self.folder, 'Pong').rows():
      pass

  def test_compressed_bytes(self):
    @mutations.fuzz(100)
    @hypothesis.given(self.paths(), mutations.edits())
    def check(path, some):
      self.with_file(path, mutations.apply(self.contents[path], some),
                     self.read)
    check()

  def test_arrays(self):
    @mutations.fuzz(100)
    @hypothesis.given(self.paths(), mutations.edits())
    def check(path, some):
      plain = gzip.decompress(self.contents[path])
      self.with_file(path, gzip.compress(mutations.apply(plain, some), 1),
                     self.read)
    check()


class EfficientZeroReplayTest(Files):

  def setUp(self):
    super().setUp()
    life = efficientzero_replay_test.play(5, 0)
    efficientzero_replay_test.write_memory(
        self.folder, efficientzero_replay_test.blocks_of(life, 3))
    self.remember()

  def read(self):
    for _ in open_source('efficientzero', self.folder, 'Pong').rows():
      pass

  def test_bytes(self):
    @mutations.fuzz(100)
    @hypothesis.given(self.paths(), mutations.edits())
    def check(path, some):
      self.with_file(path, mutations.apply(self.contents[path], some),
                     self.read)
    check()

  def test_other_arrays(self):
    arrays = st.tuples(
        st.sampled_from(('i1', 'i8', 'u8', 'f4', 'f8', 'S3', '?', 'U2', 'c8')),
        st.lists(st.integers(0, 9), max_size=3), st.integers(-300, 300))

    @mutations.fuzz(100)
    @hypothesis.given(self.paths(), arrays)
    def check(path, array):
      kind, shape, value = array
      buffer = io.BytesIO()
      np.save(buffer, np.full(shape, value).astype(kind))
      self.with_file(path, buffer.getvalue(), self.read)
    check()


if __name__ == '__main__':
  absltest.main()
