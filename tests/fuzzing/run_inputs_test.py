"""PyTorch checkpoints, settings and manifests meet nonsense: typed errors."""

import io
import json
import os
import pickletools
import zipfile

from absl.testing import absltest
import gin
import hypothesis
from hypothesis import strategies as st
import numpy as np

from tests.fuzzing import mutations
from xtra_tf.errors import CheckpointError, DataFileError, UserError
from xtra_tf.experiments import configuration
from xtra_tf.runs import RunDirectory, compare_settings, manifest
from xtra_tf.testing.resource_limits import limited
from xtra_tf.variables import torch_pickle, torch_writing
from xtra_tf.variables.state_dicts import read_state_dict


class TorchTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.path = os.path.join(self.create_tempdir().full_path, 'model.p')
    self.tensors = {'net.weight': np.arange(6, dtype=np.float32).reshape(2, 3),
                    'net.bias': np.ones([2], np.float32),
                    'steps': np.array(3, np.int64)}
    self.versions = {'': 1, 'net': 1}

  def read(self, content):
    with open(self.path, 'wb') as file:
      file.write(content)
    try:
      with limited():
        read_state_dict(self.path)
    except DataFileError as error:
      self.assertIn(self.path, str(error))
      self.assertLess(len(str(error)), 1000)

  def test_archives(self):
    good = torch_writing.archive_bytes(self.tensors, self.versions)

    @mutations.fuzz(150)
    @hypothesis.given(mutations.edits())
    def check(some):
      self.read(mutations.apply(good, some))
    check()

  def test_pickles_in_a_good_archive(self):
    good = torch_writing.archive_bytes(self.tensors, self.versions)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
      members = {name: archive.read(name) for name in archive.namelist()}
    name = next(n for n in members if n.endswith('data.pkl'))

    @mutations.fuzz(150)
    @hypothesis.given(mutations.edits(6))
    def check(some):
      buffer = io.BytesIO()
      with zipfile.ZipFile(buffer, 'w') as archive:
        for member, content in members.items():
          archive.writestr(member, mutations.apply(content, some)
                           if member == name else content)
      self.read(buffer.getvalue())
    check()

  def test_sequences_of_opcodes(self):
    codes = [op.code.encode('latin-1') for op in pickletools.opcodes]
    parts = st.tuples(st.sampled_from(codes), st.sampled_from(
        (b'', b'\x00', b'\x01', b'\x05', b'\xff\xff\xff\x7f', b'a\n', b'1\n',
         b'torch._utils\n_rebuild_tensor_v2\n', b'\x03\x00\x00\x00abc')))

    @mutations.fuzz(200)
    @hypothesis.given(st.lists(parts, max_size=12))
    def check(sequence):
      data = b'\x80\x02' + b''.join(a + b for a, b in sequence) + b'.'
      with limited():
        try:
          torch_pickle.interpret(data, 'model.p')
        except DataFileError:
          pass
    check()


class GinTest(absltest.TestCase):

  def test_bindings(self):
    self.addCleanup(gin.clear_config)
    names = st.one_of(
        st.sampled_from([*configuration._bindable(), 'teacher/StageSettings',
                         'xtra_tf.planning.MctsPlanner', '', 'a/b.c', '@x']),
        st.text(max_size=6))
    values = st.one_of(
        st.integers(-2**70, 2**70).map(repr), st.floats().map(repr),
        st.text(max_size=6).map(repr), st.text(max_size=8),
        st.sampled_from(('None', '()', '{}', '%BATCH_SIZE', '@f', '@f()', '(1,',
                         '[[]]', '1e999', '-1', '"', '%gin.REQUIRED', '(' * 99,
                         'True', '1j', '...', '__import__("os")')))
    joints = st.sampled_from((' = ', '=', ' = \\\n', ' ', '\n = ', ' = #'))

    @mutations.fuzz(150)
    @hypothesis.given(names, joints, values)
    def check(name, joint, value):
      with limited():
        try:
          configuration.parse([], [name + joint + value])
          for configurable in configuration.CONFIGURABLES:
            try:
              configuration.resolve(configurable)
            except UserError as error:
              self.assertLess(len(str(error)), 3000)
        except UserError as error:
          self.assertLess(len(str(error)), 3000)
    check()


class ManifestTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.root = self.create_tempdir().full_path
    self.saves = os.path.join(self.root, 'checkpoints')
    self.manifests = os.path.join(self.root, 'manifests')
    os.makedirs(self.saves)
    with open(os.path.join(self.saves, 'ckpt-7.index'), 'wb') as file:
      file.write(b'abc')
    self.path = manifest.write_manifest(self.manifests, manifest.Manifest(
        7, 70, manifest.describe_files(self.saves, ['ckpt-7.index']),
        {'x': 0.5}, 'hash'))
    with open(self.path, 'rb') as file:
      self.content = file.read()

  def read(self, content):
    with open(self.path, 'wb') as file:
      file.write(content)
    with limited():
      try:
        found = manifest.newest_manifest(self.manifests, self.saves, None)
        self.assertIsInstance(found, manifest.Manifest)
      except (DataFileError, CheckpointError) as error:
        self.assertIn(self.root, str(error))

  def test_bytes(self):
    @mutations.fuzz(100)
    @hypothesis.given(mutations.edits())
    def check(some):
      self.read(mutations.apply(self.content, some))
    check()

  def test_values(self):
    fields = json.loads(self.content)

    @mutations.fuzz(100)
    @hypothesis.given(st.sampled_from(sorted(fields)), mutations.json_values,
                      st.booleans())
    def check(name, value, in_files):
      changed = {**fields, name: value}
      if in_files:
        changed = {**fields, 'files': {'ckpt-7.index': value}}
      self.read(json.dumps(changed).encode())
    check()

  def test_a_deep_one(self):
    self.read(b'[' * 100_000)

  def test_run_json(self):
    directory = RunDirectory(os.path.join(self.root, 'run'))
    directory.begin({'a': '1'}, seed=0, command='x', accept_changes=False)
    with open(directory.run_json, 'rb') as file:
      content = file.read()
    fields = json.loads(content)

    def read(data):
      with open(directory.run_json, 'wb') as file:
        file.write(data)
      with limited():
        try:
          record = RunDirectory(directory.path).record
          compare_settings(record['settings'], {'a': '1'})
          self.assertIsInstance(record['sessions'], list)
        except UserError as error:
          self.assertIn(directory.path, str(error))

    @mutations.fuzz(50)
    @hypothesis.given(mutations.edits())
    def check_bytes(some):
      read(mutations.apply(content, some))

    @mutations.fuzz(50)
    @hypothesis.given(st.sampled_from(sorted(fields)), mutations.json_values)
    def check_values(name, value):
      read(json.dumps({**fields, name: value}).encode())
    check_bytes()
    check_values()


if __name__ == '__main__':
  absltest.main()
