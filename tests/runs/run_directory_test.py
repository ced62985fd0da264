import importlib.metadata
import json
import os
import socket
import subprocess
import sys
from unittest import mock

from absl.testing import absltest, parameterized

import xtra_tf
from xtra_tf.errors import DataFileError, SettingsChangedError, StorageError
from xtra_tf.runs import atomic, provenance
from xtra_tf.runs.run_directory import RunDirectory, run_of_stage
from xtra_tf.runs.stage_directory import StageDirectory, folder_name

_SETTINGS = {'BATCH_SIZE': '64', 'flag:seed': '0'}


class RunDirectoryTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.root = os.path.join(self.create_tempdir().full_path, 'run')
    self.run = RunDirectory(self.root)

  def begin(self, run=None, settings=None, **arguments):
    run = run or self.run
    run.begin(settings or _SETTINGS, seed=3, command='python xtra.py --a=1',
              **arguments)
    return run

  def test_stages_are_found_again_by_their_folders(self):
    self.begin()
    for name in ('student', 'finetune/tiny:catch', 'teacher/gym:A/B-v1'):
      self.run.record_stage(name, 'done')
      stage = self.run.stage(*name.split('/', 1))
      os.makedirs(stage.path)
      found = run_of_stage(stage.path)
      self.assertEqual(found.run_id, self.run.run_id)
      self.assertEqual(found.stage_name(stage.path), name)
    link = os.path.join(self.create_tempdir().full_path, 'link')
    os.symlink(self.run.stage('student').path, link)
    self.assertEqual(run_of_stage(link).stage_name(link), 'student')
    self.assertEqual(self.run.stage_name(os.path.join(self.root, 'old', 'x')),
                     'old/x')

  def test_a_folder_far_below_or_outside_belongs_to_no_run(self):
    self.begin()
    self.assertIsNone(run_of_stage(os.path.join(self.root, 'a', 'b', 'c')))
    self.assertIsNone(run_of_stage(self.root))

  def test_new_run(self):
    self.begin()
    record = atomic.read_json(self.run.run_json)
    self.assertEqual(record, self.run.record)
    self.assertEqual(record['state'], 'running')
    self.assertEqual(record['seed'], 3)
    self.assertEqual(record['settings'], _SETTINGS)
    session, = record['sessions']
    self.assertEqual(session['command'], 'python xtra.py --a=1')
    self.assertStartsWith(session['versions']['python'], '3.')
    self.assertRegex(self.run.run_id, r'^\d{8}-\d{6}-[0-9a-f]{6}$')

  def test_same_settings_go_on_under_the_same_id(self):
    self.begin().finish('stopped', reason='KeyboardInterrupt: ')
    again = self.begin(RunDirectory(self.root))
    self.assertEqual(again.run_id, self.run.run_id)
    self.assertLen(again.record['sessions'], 2)
    self.assertEqual(again.record['state'], 'running')
    self.assertEqual(again.record['exit_reason'], '')
    self.assertEqual(again.record['started'], self.run.record['started'])

  def test_other_settings_are_refused_and_nothing_is_changed(self):
    self.begin()
    before = atomic.read_json(self.run.run_json)
    other = {'BATCH_SIZE': '32', 'flag:seed': '0'}
    with self.assertRaisesRegex(SettingsChangedError, 'BATCH_SIZE: 64 -> 32'):
      self.begin(RunDirectory(self.root), other)
    self.assertEqual(atomic.read_json(self.run.run_json), before)

  def test_accepted_settings_are_kept_with_their_history(self):
    self.begin()
    first_hash = self.run.record['settings_hash']
    other = {'BATCH_SIZE': '32'}
    again = self.begin(RunDirectory(self.root), other, accept_changes=True)
    self.assertEqual(again.record['settings'], other)
    self.assertNotEqual(again.record['settings_hash'], first_hash)
    change, = again.record['settings_history']
    self.assertEqual(change['changes'], [
        {'name': 'BATCH_SIZE', 'old': '64', 'new': '32'},
        {'name': 'flag:seed', 'old': '0', 'new': None}])
    self.begin(RunDirectory(self.root), other)  # they are the settings now

  def test_stages_keep_time_over_sessions(self):
    self.begin()
    self.run.record_stage('student', 'running')
    self.run.finish('stopped', reason='killed')
    stage = self.run.record['stages']['student']
    self.assertEqual(stage['state'], 'stopped')
    self.assertGreaterEqual(stage['seconds'], 0.)
    earlier = stage['seconds']
    again = self.begin(RunDirectory(self.root))
    again.record_stage('student', 'running')
    again.record_stage('student', 'done', seconds=2.)
    again.finish('done')
    self.assertEqual(again.record['stages'], {'student': {
        'state': 'done', 'seconds': round(earlier + 2., 3), 'sessions': 2}})
    self.assertEqual(again.record['state'], 'done')

  @parameterized.named_parameters(
      ('torn', '{"id":', 'is damaged'),
      ('list', '[]', 'is not the record of a run'),
      ('other', '{"a": 1}', 'is not the record of a run'))
  def test_damaged_record(self, text, message):
    os.makedirs(self.root)
    with open(self.run.run_json, 'w') as file:
      file.write(text)
    with self.assertRaisesRegex(DataFileError, f'run.json: {message}'):
      self.begin()

  def test_newer_format(self):
    self.begin()
    atomic.write_json(self.run.run_json, {**self.run.record, 'format': 9})
    with self.assertRaisesRegex(DataFileError, 'has format 9, expected 1'):
      self.begin(RunDirectory(self.root))

  def test_root_that_is_a_file(self):
    path = self.create_tempfile('file').full_path
    with self.assertRaisesRegex(StorageError, 'Cannot write .*file'):
      self.begin(RunDirectory(path))

  def test_leftovers_of_kills_are_swept(self):
    self.begin()
    left = os.path.join(self.root, '.run.json.1-2.tmp')
    with open(left, 'w'):
      pass
    self.begin(RunDirectory(self.root))
    self.assertFalse(os.path.exists(left))

  def test_config_files(self):
    self.begin()
    self.run.write_config(given='a = 1\n')
    self.run.write_config(operative='b = 2\n')
    for name, text in (('given', 'a = 1\n'), ('operative', 'b = 2\n')):
      with open(os.path.join(self.root, 'config', f'{name}.gin')) as file:
        self.assertEqual(file.read(), text)

  def test_nothing_private_is_written(self):
    with mock.patch.dict(os.environ, {'PLANTED_TOKEN': 'planted-value'}):
      self.run.begin({'flag:api_key': 'planted-value'}, seed=0,
                     command='python x --token=planted-value')
    with open(self.run.run_json) as file:
      text = file.read()
    self.assertNotIn('planted-value', text)
    self.assertNotIn(socket.gethostname(), text)

  def test_stage_folders(self):
    self.begin()
    stage = self.run.stage('finetune', 'tiny:catch')
    self.assertEqual(stage.name, 'finetune/tiny:catch')
    self.assertEqual(stage.path, os.path.join(self.root, 'finetune/tiny.catch'))
    self.assertEqual(stage.settings_hash, self.run.record['settings_hash'])
    self.assertEqual(self.run.stage('student').path,
                     os.path.join(self.root, 'student'))

  @parameterized.parameters(
      ('finetune', None, 'takes a task'), ('student', 'Alien', 'takes no task'),
      ('../x', 'Alien', 'must be one of'))
  def test_impossible_stages(self, name, task, message):
    with self.assertRaisesRegex(ValueError, message):
      self.run.stage(name, task)


class StageDirectoryTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.stage = StageDirectory(self.create_tempdir().full_path)

  @parameterized.parameters(
      ('Alien', 'Alien'), ('tiny:catch', 'tiny.catch'),
      ('gym:ALE/Pong-v5', 'gym.ALE+Pong-v5'), ('a.b', 'a%2Eb'),
      ('a+b', 'a%2Bb'), ('a~', 'a%7E'), ('gym:../x', 'gym.%2E%2E+x'))
  def test_folder_names(self, task, folder):
    self.assertEqual(folder_name(task), folder)

  @parameterized.parameters('', ':', '::')
  def test_impossible_names(self, task):
    with self.assertRaisesRegex(ValueError, 'cannot be named'):
      folder_name(task)

  def test_names_are_distinct_and_stay_inside(self):
    tasks = ['a:b', 'a/b', 'a.b', 'a+b', 'a-b', 'a b', 'a%b', 'a%2Eb', '/..']
    names = {folder_name(task) for task in tasks}
    self.assertLen(names, len(tasks))
    self.assertNoCommonElements(names, {'.', '..'})
    self.assertEmpty([name for name in names if '/' in name])

  def test_done_marker(self):
    self.assertIsNone(self.stage.read_done())
    self.stage.write_done({'updates': 3})
    self.assertEqual(self.stage.read_done(), {'updates': 3})

  @parameterized.parameters(('[]', 'found list'), ('{', 'is damaged'))
  def test_damaged_marker(self, text, message):
    with open(self.stage.done, 'w') as file:
      file.write(text)
    with self.assertRaisesRegex(DataFileError, f'done.json.*{message}'):
      self.stage.read_done()

  def test_fresh_folder(self):
    path = self.stage.fresh_folder('targets')
    with open(os.path.join(path, 'a'), 'w'):
      pass
    self.assertEqual(self.stage.fresh_folder('targets'), path)
    self.assertEmpty(os.listdir(path))

  @parameterized.parameters('', '..', '../x', 'a/b', '/tmp', '.hidden')
  def test_own_folders_stay_inside(self, name):
    with self.assertRaisesRegex(ValueError, 'plain folder name'):
      self.stage.fresh_folder(name)


class ProvenanceTest(absltest.TestCase):

  def test_code_version(self):
    found = provenance.code_version()
    head = subprocess.run(
        ['git', 'rev-parse', 'HEAD'], capture_output=True, text=True,
        cwd=os.path.dirname(os.path.abspath(provenance.__file__)))
    if head.returncode == 0:
      self.assertEqual(found['commit'], head.stdout.strip())
      self.assertIsInstance(found['dirty'], bool)
    else:
      self.assertEqual(found, {'commit': None, 'dirty': None})

  def test_a_repository_around_an_installation_is_not_ours(self):
    with mock.patch.object(provenance, '_git', return_value='/elsewhere'):
      self.assertEqual(provenance.code_version(),
                       {'commit': None, 'dirty': None})

  def test_without_git(self):
    with mock.patch.object(subprocess, 'run', side_effect=FileNotFoundError):
      self.assertEqual(provenance.code_version(),
                       {'commit': None, 'dirty': None})

  def test_everything_is_json(self):
    json.dumps([provenance.versions(), provenance.machine()])
    self.assertIsNotNone(provenance.versions()['numpy'])

  def test_our_own_version_is_known_without_an_installation(self):
    with mock.patch.object(importlib.metadata, 'version',
                           side_effect=importlib.metadata.PackageNotFoundError):
      found = provenance.versions()
    self.assertEqual(found['xtra-tf'], xtra_tf.__version__)
    self.assertIsNone(found['numpy'])


class ImportTest(absltest.TestCase):

  def test_no_tensorflow(self):
    code = 'import sys, xtra_tf.runs; sys.exit("tensorflow" in sys.modules)'
    subprocess.run([sys.executable, '-c', code], check=True,
                   env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})


if __name__ == '__main__':
  absltest.main()
