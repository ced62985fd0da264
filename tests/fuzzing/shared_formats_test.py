"""Descriptions of RLDS and Minari sets and result files meet nonsense."""

import dataclasses
import json
import os

from absl.testing import absltest, parameterized
import hypothesis
from hypothesis import strategies as st

from tests.fuzzing import mutations
from tests.offline_data import minari_files_by_hand, rlds_files_by_hand
from xtra_tf.errors import DataFileError, UserError
from xtra_tf.evaluation import ResultRecord, results
from xtra_tf.offline_data.formats import open_source
from xtra_tf.testing.resource_limits import limited


def leaves(content, path=()):
  """Paths of all values of a JSON document, the inner ones first."""
  inner = (content.items() if isinstance(content, dict) else
           enumerate(content) if isinstance(content, list) else ())
  for key, value in inner:
    yield from leaves(value, (*path, key))
  if path:
    yield path


def replaced(content, path, value):
  """A copy of a JSON document with another value at one place."""
  changed = json.loads(json.dumps(content))
  place = changed
  for key in path[:-1]:
    place = place[key]
  place[path[-1]] = value
  return changed


class DescriptionTest(parameterized.TestCase):
  """Either the set is read, or the error names its folder."""

  def setUp(self):
    super().setUp()
    self.source = os.path.join(
        self.create_tempdir().full_path, 'Pong_run_1', '1.1.0')

  def write_minari(self):
    minari_files_by_hand.write_hdf5(
        self.source, [minari_files_by_hand.episode(3)])

  def write_rlds(self):
    rlds_files_by_hand.write(self.source, {'checkpoint_00': [
        [rlds_files_by_hand.example(rlds_files_by_hand.episode(3))]]})

  def read(self, kind, content, *where):
    with open(os.path.join(self.source, *where), 'wb') as file:
      file.write(content)
    with limited():
      try:
        for _ in open_source(kind, self.source, 'Pong').rows():
          pass
      except UserError as error:
        self.assertIn(self.source, str(error))
        self.assertLess(len(str(error)), 3000)

  @parameterized.parameters(
      ('minari', ('data', 'metadata.json')), ('rlds', ('features.json',)),
      ('rlds', ('dataset_info.json',)))
  def test_json(self, kind, where):
    {'minari': self.write_minari, 'rlds': self.write_rlds}[kind]()
    with open(os.path.join(self.source, *where), 'rb') as file:
      good = file.read()
    fields = json.loads(good)

    @mutations.fuzz(60)
    @hypothesis.given(mutations.edits())
    def check_bytes(some):
      self.read(kind, mutations.apply(good, some), *where)

    @mutations.fuzz(100)
    @hypothesis.given(st.sampled_from(list(leaves(fields))),
                      mutations.json_values)
    def check_values(path, value):
      self.read(kind, json.dumps(replaced(fields, path, value)).encode(),
                *where)

    check_bytes()
    check_values()
    self.read(kind, b'[' * 100_000, *where)


class ResultsTest(absltest.TestCase):
  """What a report is made from."""

  def test_lines(self):
    path = os.path.join(self.create_tempdir().full_path, 'results.jsonl')
    record = ResultRecord(
        run='a', stage='student', task='Pong', step=1, env_steps=2,
        profile='fixed', codec='lossless', seeds=(0, 1), returns=(1., 2.),
        lengths=(3, 4), truncated=(False, True))
    fields = dataclasses.asdict(record)
    good = json.dumps(fields).encode() + b'\n'

    def read(content):
      with open(path, 'wb') as file:
        file.write(content)
      with limited():
        try:
          for found in results.read(path):
            self.assertIsInstance(hash(found.key), int)
        except DataFileError as error:
          self.assertIn(path, str(error))
          self.assertLess(len(str(error)), 3000)

    @mutations.fuzz(150)
    @hypothesis.given(mutations.edits())
    def check_bytes(some):
      read(good + mutations.apply(good, some))

    @mutations.fuzz(150)
    @hypothesis.given(st.sampled_from(sorted(fields)), mutations.json_values)
    def check_values(name, value):
      read(json.dumps({**fields, name: value}).encode() + b'\n')

    check_bytes()
    check_values()
    read(b'[' * 100_000 + b'\n')


if __name__ == '__main__':
  absltest.main()
