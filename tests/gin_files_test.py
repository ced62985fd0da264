"""Every gin file parses; every complete one builds all its parts."""

import glob
import os
import re
from unittest import mock

from absl.testing import parameterized
import gin
import tensorflow as tf

from xtra_tf import tasks
from xtra_tf.errors import DataFileError, UsageError
from xtra_tf.experiments import configuration, roles

_ROOT = os.path.join(os.path.dirname(os.path.dirname(__file__)), 'gin')
_FILES = sorted(os.path.relpath(path, _ROOT) for path in
                glob.glob(os.path.join(_ROOT, '**', '*.gin'), recursive=True))
_PROTOCOLS = [f for f in _FILES if f.startswith('protocols/')]
_TASK_SETS = [f for f in _FILES if f.startswith('tasksets/')]
# Macros that a partial file uses and another file of the same run binds.
_MACROS = ['TARGET_TASK = "Alien"', 'SOURCE_TASKS = ("Amidar",)',
           'ENV_STEPS = 5000', 'NUM_SIMULATIONS = 2', 'BATCH_SIZE = 4']


class GinFilesTest(parameterized.TestCase, tf.test.TestCase):

  def tearDown(self):
    super().tearDown()
    gin.clear_config()

  @parameterized.parameters(*_FILES)
  def test_parses_with_known_names_only(self, name):
    configuration.parse([name], _MACROS)
    for value in configuration.bound_values():
      self.assertNotEmpty(value)

  @parameterized.parameters(*_PROTOCOLS)
  def test_protocol_builds(self, name):
    configuration.parse([name], [])
    parts = roles.resolve_parts(seed=0)
    self.assertNotIn(parts.target.name, [t.name for t in parts.sources])
    if not parts.sources:
      return  # for the stage `scratch` alone; there is nothing to control
    self.assertEqual(parts.stages['finetune'].stage.updates,
                     parts.stages['scratch'].stage.updates)
    self.assertEqual(parts.stages['finetune'].stage.env_steps,
                     parts.stages['scratch'].stage.env_steps)

  @parameterized.parameters(*_TASK_SETS)
  def test_task_set_has_known_games(self, name):
    configuration.parse(['protocols/paper.gin', name], [])
    settings = configuration.resolve(configuration.TaskSettings)
    for task in (settings.target, *settings.sources):
      self.assertEqual(tasks.get_task(task).num_actions, 18)

  def test_no_package_marker_among_gin_files(self):
    self.assertEmpty(glob.glob(os.path.join(_ROOT, '**', '__init__.py'),
                               recursive=True))

  def test_every_file_says_what_it_is(self):
    for name in _FILES:
      with open(os.path.join(_ROOT, name), encoding='utf-8') as file:
        self.assertTrue(file.read().startswith('# '), name)


class ConfigurationErrorsTest(tf.test.TestCase):

  def tearDown(self):
    super().tearDown()
    gin.clear_config()

  def _refused(self, files, bindings, pattern):
    with self.assertRaisesRegex(UsageError, pattern):
      configuration.parse(files, bindings)
      roles.resolve_parts(seed=0)

  def test_unknown_file_names_near_ones(self):
    self._refused(['protocols/demos.gin'], [],
                  r'no gin file protocols/demos\.gin.*protocols/demo\.gin')

  def test_unknown_parameter_names_near_ones(self):
    self._refused(
        ['protocols/demo.gin'],
        ['xtra_tf.planning.MctsPlanner.num_simulation = 3'], 'num_simulation')

  def test_unknown_configurable(self):
    self._refused(['protocols/demo.gin'], ['StageSetting.updates = 3'],
                  'StageSetting')

  def test_unknown_macro(self):
    self._refused(['protocols/demo.gin'],
                  ['xtra_tf.evaluation.EvaluationSettings.episodes = %NONE'],
                  'NONE')

  def test_target_among_sources(self):
    self._refused(['protocols/demo.gin'], ['TARGET_TASK = "Phoenix"'],
                  'Phoenix is also a source task')

  def test_unknown_game_names_near_ones(self):
    self._refused(['protocols/demo.gin'], ['TARGET_TASK = "Asault"'],
                  'Asault.*Assault')

  def test_tasks_of_different_families(self):
    with self.assertRaisesRegex(Exception, 'cannot share a network'):
      configuration.parse(['protocols/demo.gin'],
                          ['TARGET_TASK = "tiny:catch"'])
      roles.resolve_parts(seed=0)

  def test_files_of_other_places_are_read_only_if_trusted(self):
    folder = self.create_tempdir().full_path
    path = os.path.join(folder, 'theirs.gin')
    with open(path, 'w', encoding='utf-8') as file:
      file.write('# theirs\nNUM_SIMULATIONS = 3\n')
    pattern = 'theirs.gin is not one of yours.*--trust_gin'
    self._refused([path], [], pattern)
    # Neither by a link nor by an include.
    here = self.create_tempdir().full_path
    os.symlink(path, os.path.join(here, 'link.gin'))
    with open(os.path.join(here, 'mine.gin'), 'w', encoding='utf-8') as file:
      file.write(f'include "{path}"\n')
    with mock.patch.object(os, 'getcwd', return_value=here):
      self._refused(['link.gin'], [], pattern)
      self._refused(['mine.gin'], [], pattern)
    with mock.patch.object(os, 'getcwd', return_value=folder):
      configuration.parse(['theirs.gin'], [])
    with mock.patch.object(configuration._Trust, 'everywhere', False):
      self.assertEmpty(configuration.trust_flags())
      configuration.trust_gin_files()
      self.assertEqual(configuration.trust_flags(), ['--trust_gin'])
      configuration.parse([path], [])
    self.assertEqual(configuration.bound_values(), {'NUM_SIMULATIONS': '3'})

  def test_calls_of_other_libraries_are_refused(self):
    for value in ('@tf_agents.train.learner.Learner()', '[1, @gin.singleton()]',
                  '@xtra_tf.experiments.TaskSettings'):
      self._refused([], [f'SOURCE_TASKS = {value}'],
                    r'SOURCE_TASKS = .* refers to a configurable')
    configuration.parse([], ['TARGET_TASK = "me@home"'])

  def test_a_record_of_a_run_is_read_as_data(self):
    settings = {'NUM_SIMULATIONS': '3', 'TARGET_TASK': "'Alien'",
                'MctsPlanner.num_simulations': '%NUM_SIMULATIONS',
                'xtra_tf.learners.LearnerSettings.momentum': '@gin.singleton()'}
    taken = configuration.recorded_bindings(
        settings, ['MctsPlanner'], 'run.json')
    self.assertLen(taken, 3)
    configuration.parse([], ['NUM_SIMULATIONS = 5'], before=taken)
    self.assertEqual(
        configuration.resolve(configuration.MctsPlanner).num_simulations, 5)
    for value in ('@gin.singleton()', '%OTHER', '__import__("os")', '1\nx = 2'):
      settings['MctsPlanner.num_simulations'] = value
      with self.assertRaisesRegex(
          DataFileError, 'run.json: the setting .*num_simulations has the '
          'value'):
        configuration.recorded_bindings(
            settings, ['MctsPlanner'], 'run.json')

  def test_imports_are_refused(self):
    folder = self.create_tempdir().full_path
    self.enter_context(mock.patch.object(os, 'getcwd', return_value=folder))
    marker = os.path.join(folder, 'ran')
    with open(os.path.join(folder, 'evil.py'), 'w', encoding='utf-8') as file:
      file.write(f'open({marker!r}, "w").close()\n')
    path = os.path.join(folder, 'evil.gin')
    for line in ('import evil', 'from evil import x',
                 'from __gin__ import dynamic_registration'):
      with open(path, 'w', encoding='utf-8') as file:
        file.write(f'# harmless\n{line}\n')
      self._refused([path], [], 'imports can run any code')
    self.assertFalse(os.path.exists(marker))

  def test_difference_of_bindings_is_seen(self):
    configuration.parse(['protocols/demo.gin'], [])
    before = configuration.bound_values()
    configuration.parse(['protocols/demo.gin'], ['NUM_SIMULATIONS = 9'])
    after = configuration.bound_values()
    changed = [k for k in after if before.get(k) != after[k]]
    self.assertLen(changed, 1)
    self.assertRegex(changed[0], re.compile('NUM_SIMULATIONS'))


if __name__ == '__main__':
  tf.test.main()
