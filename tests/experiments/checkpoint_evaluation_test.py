"""Which task, search and place of results a checkpoint is evaluated with."""

import json
import os
import shutil
import tempfile

import numpy as np
import tensorflow as tf

from xtra_tf.errors import (
  CheckpointError,
  DataFileError,
  IncompatibleDataError,
  UsageError,
)
from xtra_tf.evaluation import results
from xtra_tf.experiments import checkpoint_evaluation, configuration, roles
from xtra_tf.models.registry import build_world_model
from xtra_tf.runs import RunDirectory
from xtra_tf.variables import resolve_checkpoint, save_world_model

_CODEC = 'xtra_tf.experiments.TaskSettings.codec'
_PLANNER = 'xtra_tf.planning.MctsPlanner'


def _describe(target, gin_file='protocols/smoke.gin', bindings=()):
  """The description of a run's models, as in model.json."""
  sources = ('tiny:cross',) if target.startswith('tiny:') else ('Pong',)
  configuration.parse([gin_file], [f'TARGET_TASK = {target!r}',
                                   f'SOURCE_TASKS = {sources!r}', *bindings])
  return roles.resolve_parts(0).description


def _save(folder, description, seed=0, step=7):
  model = build_world_model(description, seed=seed)
  return save_world_model(model, folder, description, step=step)


class CheckpointTest(tf.test.TestCase):
  """Checkpoints of all kinds, made once."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.tiny = _save(os.path.join(cls.root, 'tiny'), _describe('tiny:catch'))
    cls.atari = _save(
        os.path.join(cls.root, 'atari'), _describe(
            'Breakout', 'protocols/demo.gin', [f"{_CODEC} = 'jpeg'"]))
    # As an official file of EfficientZero is imported: a head of six actions,
    # nobody knows of which game.
    imported = dict(_describe('Breakout', 'protocols/demo.gin'))
    config = dict(imported['config'], num_actions=6,
                  observation_shape=[48, 48, 12])
    cls.imported = _save(os.path.join(cls.root, 'imported'), {
        **imported, 'config': config, 'task': None, 'codec': 'jpeg',
        'profile': 'efficientzero_head'})

  def setUp(self):
    super().setUp()
    self.output = os.path.join(self.create_tempdir().full_path, 'results.jsonl')

  def prepare(self, checkpoint, task, **changes):
    changes.setdefault('output', self.output)
    return checkpoint_evaluation.prepare(checkpoint, task, **changes)


class TaskTest(CheckpointTest):

  def test_frames_are_those_of_training(self):
    task = self.prepare(self.atari, 'Pong').task
    self.assertEqual(task.observation_shape, (48, 48, 1))
    self.assertEqual((task.stack, task.codec), (4, 'jpeg'))

  def test_codec_can_be_another_one(self):
    prepared = self.prepare(self.atari, 'Pong', codec='lossless')
    self.assertEqual(prepared.task.codec, 'lossless')

  def test_an_imported_head_is_that_of_the_task(self):
    prepared = self.prepare(self.imported, 'Pong')
    self.assertEqual(prepared.task.observation_shape, (48, 48, 3))
    self.assertEqual((prepared.task.stack, prepared.task.codec), (4, 'jpeg'))
    self.assertEqual(prepared.model.action_ids, (0, 1, 3, 4, 11, 12))
    self.assertEqual(prepared.profile, 'efficientzero_head')

  def test_codec_is_for_pictures(self):
    with self.assertRaisesRegex(UsageError, "codec is 'jpeg'. Expected loss"):
      self.prepare(self.tiny, 'tiny:catch', codec='jpeg')

  def test_unknown_tasks_have_near_names(self):
    with self.assertRaisesRegex(UsageError, "'Alein'. Did you mean Alien"):
      self.prepare(self.atari, 'Alein')
    with self.assertRaisesRegex(UsageError, "'tiny:cach'. .*tiny:catch"):
      self.prepare(os.path.join(self.root, 'none'), 'tiny:cach')

  def test_an_action_head_of_another_task_is_refused_with_both_shapes(self):
    with self.assertRaisesRegex(
        IncompatibleDataError, r'does not fit Alien.* shape \[6, 32\], '
        r'expected .*\[18, 32\]'):
      self.prepare(self.tiny, 'Alien')
    with self.assertRaisesRegex(
        IncompatibleDataError, r'does not fit Breakout.*\[6, 32\], expected '
        r'\[4, 32\]'):
      self.prepare(self.imported, 'Breakout')

  def test_observations_that_the_network_does_not_take_are_refused(self):
    description = json.loads(json.dumps(resolve_checkpoint(
        self.atari).description))
    description['task']['stack'] = 3
    folder = os.path.join(self.create_tempdir().full_path, 'other')
    _save(folder, description)
    with self.assertRaisesRegex(
        IncompatibleDataError, r'\[48, 48, 4\], Pong has \[48, 48, 3\]'):
      self.prepare(folder, 'Pong')

  def test_a_folder_without_a_checkpoint_says_what_is_there(self):
    with self.assertRaisesRegex(
        CheckpointError, 'holds no checkpoint, only: atari, imported, tiny. '
        'Expected the folder of a stage'):
      self.prepare(self.root, 'Pong')

  def test_a_damaged_description_is_named(self):
    folder = os.path.join(self.create_tempdir().full_path, 'damaged')
    shutil.copytree(self.atari, folder)
    path = os.path.join(folder, 'model.json')
    for task in ({'name': 'Pong'}, 'Pong', {'observation_shape': []}):
      with open(path, encoding='utf-8') as file:
        content = json.load(file)
      with open(path, 'w', encoding='utf-8') as file:
        json.dump({**content, 'task': task}, file)
      with self.assertRaisesRegex(CheckpointError, 'model.json is damaged'):
        self.prepare(folder, 'Pong')


class SettingsTest(CheckpointTest):

  def test_the_protocol_is_the_official_one(self):
    settings = self.prepare(self.atari, 'Pong').settings
    self.assertEqual((settings.episodes, settings.max_episode_steps,
                      settings.batch_size), (32, 27_000, 32))

  def test_all_games_are_in_one_batch(self):
    settings = self.prepare(self.atari, 'Pong', episodes=40).settings
    self.assertEqual((settings.episodes, settings.batch_size), (40, 40))
    bound = self.prepare(
        self.atari, 'Pong', episodes=40, gin_bindings=[
            'xtra_tf.evaluation.EvaluationSettings.batch_size = 8']).settings
    self.assertEqual(bound.batch_size, 8)

  def test_gin_files_and_bindings_win(self):
    prepared = self.prepare(
        self.atari, 'Pong', gin_files=['protocols/demo.gin'],
        gin_bindings=['NUM_SIMULATIONS = 7'])
    self.assertEqual(prepared.settings.episodes, 8)
    self.assertEqual(prepared.planner.num_simulations, 7)

  def test_the_search_is_the_papers_in_the_checkpoints_profile(self):
    fixed = self.prepare(self.tiny, 'tiny:catch').planner
    self.assertEqual(fixed.num_simulations, 50)
    self.assertEqual(fixed.min_max_reward, 'parent')
    official = self.prepare(self.imported, 'Pong').planner
    self.assertEqual(official.min_max_reward, 'previous_node')
    self.assertEqual(official.root_value_divisor, 'simulations_plus_one')

  def test_simulations_can_be_given(self):
    planner = self.prepare(self.tiny, 'tiny:catch', num_simulations=3).planner
    self.assertEqual(planner.num_simulations, 3)

  def test_an_unknown_profile_is_refused(self):
    folder = os.path.join(self.create_tempdir().full_path, 'unknown')
    _save(folder, {**_describe('tiny:catch'), 'profile': 'mine'})
    with self.assertRaisesRegex(CheckpointError, "profile 'mine'. Expected one "
                                'of fixed, xtra_official'):
      self.prepare(folder, 'tiny:catch')

  def test_a_search_of_which_nothing_is_known_must_be_given(self):
    folder = os.path.join(self.create_tempdir().full_path, 'departed')
    _save(folder, {**_describe('tiny:catch'), 'profile': 'fixed+G1+G28'})
    with self.assertRaisesRegex(
        UsageError, 'another MctsPlanner.min_max_reward than that of fixed.* '
        "e.g. \"xtra_tf.planning.MctsPlanner.min_max_reward = 'previous_node'"):
      self.prepare(folder, 'tiny:catch')
    planner = self.prepare(
        folder, 'tiny:catch', gin_bindings=[
            f"{_PLANNER}.min_max_reward = 'previous_node'"]).planner
    self.assertEqual(planner.min_max_reward, 'previous_node')


class ResultsTest(CheckpointTest):

  def copy(self, *parts):
    """The tiny checkpoint as a stage of a run; returns its folder."""
    root = os.path.join(self.create_tempdir().full_path, 'run')
    run = RunDirectory(root)
    configuration.parse(['protocols/smoke.gin'], [
        f"{_PLANNER}.tie_break = 'lowest'"])
    run.begin(configuration.run_settings(), seed=0, command='')
    for name in ('student', 'finetune/tiny:catch', 'teacher/tiny:cross'):
      run.record_stage(name, 'done')
    # A run may come from anywhere: its gin files are not read.
    run.write_config(given='import not_to_be_imported\n')
    stage = os.path.join(root, *parts)
    shutil.copytree(self.tiny, stage)
    return run, stage

  def test_a_stage_of_a_run_is_searched_as_in_the_run(self):
    run, stage = self.copy('finetune', 'tiny.catch')
    prepared = checkpoint_evaluation.prepare(stage, 'tiny:catch')
    self.assertEqual(prepared.planner.num_simulations, 4)
    self.assertEqual(prepared.planner.tie_break, 'lowest')
    # But not evaluated with the run's few games.
    self.assertEqual(prepared.settings.episodes, 32)
    self.assertEqual(prepared.results_path, run.results)
    self.assertEqual(prepared.run, run.run_id)
    self.assertEqual(prepared.stage, 'finetune')

  def test_names_of_stages(self):
    for parts, task, expected in (
        (('student',), 'tiny:catch', 'student'),
        (('student',), 'tiny:dodge', 'student'),
        (('finetune', 'tiny.catch'), 'tiny:dodge', 'finetune/tiny:catch'),
        (('teacher', 'tiny.cross'), 'tiny:cross', 'teacher'),
        (('teacher', 'tiny.cross'), 'tiny:catch', 'teacher/tiny:cross')):
      _, stage = self.copy(*parts)
      prepared = checkpoint_evaluation.prepare(stage, task)
      self.assertEqual(prepared.stage, expected)

  def test_a_checkpoint_without_a_run_is_known_by_its_weights(self):
    first = self.prepare(self.tiny, 'tiny:catch', output=None)
    self.assertEqual(first.stage, 'checkpoint')
    self.assertRegex(first.run, r'^tiny-[0-9a-f]{8}$')
    self.assertEqual(first.results_path, os.path.join(
        self.tiny, 'eval', 'results.jsonl'))
    elsewhere = os.path.join(self.create_tempdir().full_path, 'tiny')
    shutil.copytree(self.tiny, elsewhere)
    self.assertEqual(self.prepare(elsewhere, 'tiny:catch').run, first.run)
    other = os.path.join(self.create_tempdir().full_path, 'tiny')
    _save(other, resolve_checkpoint(self.tiny).description, seed=1)
    self.assertNotEqual(self.prepare(other, 'tiny:catch').run, first.run)

  def test_places_of_results(self):
    folder = self.create_tempdir().full_path
    self.assertEqual(
        self.prepare(self.tiny, 'tiny:catch', output=None,
                     root_dir=folder).results_path,
        os.path.join(folder, 'eval', 'results.jsonl'))
    with self.assertRaisesRegex(UsageError, 'Expected one of them'):
      self.prepare(self.tiny, 'tiny:catch', root_dir=folder)
    with self.assertRaisesRegex(UsageError, f'the folder {folder}. Expected'):
      self.prepare(self.tiny, 'tiny:catch', output=folder)

  def test_a_damaged_results_file_is_found_before_a_game_is_played(self):
    with open(self.output, 'w', encoding='utf-8') as file:
      file.write('no result\n')
    with self.assertRaisesRegex(DataFileError, 'not an evaluation result'):
      self.prepare(self.tiny, 'tiny:catch')

  def test_a_repeat_is_kept_once_and_another_score_refused(self):
    prepared = self.prepare(
        self.tiny, 'tiny:catch', episodes=3, num_simulations=2,
        gin_bindings=[f'{_PLANNER}.compile_search = False'])
    result = prepared.play()
    record = prepared.record(result)
    self.assertEqual((record.step, record.codec, record.profile),
                     (7, 'lossless', 'fixed'))
    self.assertTrue(results.append(self.output, record, result.recording))
    again = prepared.record(prepared.play())
    self.assertFalse(results.append(self.output, again, result.recording))
    differing = prepared.record(result._replace(
        returns=tuple(np.add(result.returns, 1))))
    with self.assertRaisesRegex(DataFileError, 'belong into another file'):
      results.append(self.output, differing)
    self.assertLen(results.read(self.output), 1)


if __name__ == '__main__':
  tf.test.main()
