"""Files like those of a finished run, with invented numbers, for tests."""

import os
from typing import Any, Dict, Optional, Sequence

import numpy as np

from xtra_tf.evaluation import results
from xtra_tf.evaluation.results import Recording, ResultRecord
from xtra_tf.runs import MetricsWriter, RunDirectory, record_incident

ENV_STEPS = 2000
UPDATES = 800
_LOSS_PARTS = {'total': 12., 'value': 3., 'value_prefix': 2., 'policy': 8.,
               'consistency': 0.}


def settings(target: str, sources: Sequence[str]) -> Dict[str, str]:
  """Bindings as gin's config string has them."""
  return {
      'NUM_SIMULATIONS': '8', 'BATCH_SIZE': '32', 'ENV_STEPS': str(ENV_STEPS),
      'TARGET_TASK': repr(target), 'SOURCE_TASKS': repr(tuple(sources)),
      'TaskSettings.target': '%TARGET_TASK',
      'TaskSettings.sources': '%SOURCE_TASKS',
      'MctsPlanner.num_simulations': '%NUM_SIMULATIONS',
      'finetune/StageSettings.batch_size': '%BATCH_SIZE',
      'TaskWeightSettings.start': '80', 'TaskWeightSettings.period': '80',
      'TaskWeightSettings.window': '16', 'TaskWeightSettings.threshold': '0.1',
      'EvaluationSettings.episodes': '8',
      'EvaluationSettings.max_episode_steps': '3000', 'flag:seed': '3'}


def _losses(random: np.random.Generator, progress: float,
            factor: float) -> Dict[str, float]:
  row = {f'loss/{name}': start * factor * (0.35 + 0.65 * np.exp(-4 * progress))
         + 0.06 * random.normal() for name, start in _LOSS_PARTS.items()}
  row['loss/consistency'] = -4.6 * (1 - np.exp(-6 * progress))
  row['optim/gradient_norm'] = (
      2.5 * np.exp(-2 * progress) + random.gamma(2., .2))
  row['optim/learning_rate'] = 0.2 * min(1., 8 * progress)
  row['replay/priority_mean'] = 0.3 * np.exp(-progress) + random.gamma(2., .02)
  row['speed/updates_per_second'] = 5.2 + 0.3 * random.normal()
  row['speed/waiting_for_data'] = 0.02 * random.random()
  return row


def _games(random: np.random.Generator, task: str, progress: float,
           level: float) -> Dict[str, float]:
  return {f'collect/{task}/return_raw':
          21. * random.poisson(level * (1 + progress)),
          f'collect/{task}/length': float(random.integers(150, 400))}


def _agreement(random: np.random.Generator, sources: Sequence[str],
               progress: float, learning: bool) -> Dict[str, float]:
  """A model that comes near its teachers, or drifts away from them."""
  row = {}
  for index, source in enumerate(sources):
    level = 0.15 + (0.6 - 0.1 * index) * (
        1 - np.exp(-4 * progress) if learning else 1 - 0.4 * progress)
    row[f'transfer/agreement/{source}'] = level + 0.02 * random.normal()
    row[f'transfer/teacher_kl/{source}'] = 1.6 * (1 - level)
  return row


def _play_sources(directory: RunDirectory, sources: Sequence[str],
                  random: np.random.Generator) -> None:
  for kind, level in (('teacher', 14), ('student', 12), ('finetune', 8)):
    for source in sources:
      results.append(directory.results, ResultRecord(
          run=directory.run_id, stage=kind, task=source, step=UPDATES,
          env_steps=0, profile='fixed', codec='lossless', seeds=range(4),
          returns=21. * random.poisson(level, 4), lengths=[300] * 4,
          truncated=[False] * 4, seconds=10., step_limit=3000))


def _write_stage(directory: RunDirectory, kind: str, task: Optional[str],
                 sources: Sequence[str], seed: int) -> None:
  """Metrics, model description and completion marker of a stage."""
  random = np.random.default_rng(seed)
  stage = directory.stage(kind, task)
  online = kind in ('data', 'finetune', 'scratch')
  weights = dict.fromkeys(sources, 1.)
  name = stage.name
  directory.record_stage(name, 'running')
  level = {'data': 10., 'finetune': 11., 'scratch': 9.}.get(kind, 0.)
  with MetricsWriter(stage.metrics_file('learner')) as writer:
    for step in range(20, UPDATES + 1, 20):
      progress = step / UPDATES
      env_steps = 0
      if online:
        env_steps = int(ENV_STEPS * min(1., 0.25 + 0.8 * progress))
      if online and random.random() < 0.7:
        writer.write(step, env_steps, _games(random, task, progress, level))
      row = _losses(random, progress, 1.2 if kind == 'scratch' else 1.)
      if online:
        row['replay/age_mean'] = 0.4 * env_steps + 20. * random.random()
        row['replay/policy_age_mean'] = 0.5 * step + 10. * random.random()
      if kind in ('student', 'finetune'):
        row.update(_agreement(random, sources, progress, kind == 'student'))
      if kind == 'finetune':
        for index, source in enumerate(sources):
          if 80 <= step and step % 80 == 0:
            cosine = 0.16 - 0.17 * index + 0.06 * random.normal()
            row[f'transfer/cosine/{source}'] = cosine
            row[f'transfer/gradient_norm/{source}'] = 1.4 + 0.2 * index
            weights[source] = round(float(np.clip(
                0.5 + 3 * (cosine - 0.1), 0, 1)), 2)
          row[f'transfer/weight/{source}'] = weights[source]
      writer.write(step, env_steps, row)
      if kind in ('finetune', 'scratch') and step % 200 == 0 and step < UPDATES:
        writer.write(step, env_steps, {
            f'eval/{task}/return_mean': 21. * level * (1 + progress)})
  facts: Dict[str, Any] = {'updates': UPDATES,
                           'env_steps': ENV_STEPS if online else 0}
  if kind == 'teacher':
    facts.update(teacher_rows=2011, teacher_agreement=0.31 + 0.02 * seed % .1,
                 teacher_root_value=1.83, data_games=12,
                 data_mean_return=210. + seed)
  stage.write_done(facts)
  directory.record_stage(name, 'done', seconds=40. + 90 * random.random())


def write_run(root: str, target: str = 'Assault',
              sources: Sequence[str] = ('DemonAttack', 'Phoenix'),
              recording: Optional[Recording] = None,
              cloning: bool = False) -> RunDirectory:
  """Writes the files of a finished run.

  Args:
    root: its folder.
    target: the target task.
    sources: the offline tasks.
    recording: the recorded game of the finetuned model's evaluation.
    cloning: whether behaviour cloning was run, too.
  """
  directory = RunDirectory(root)
  directory.begin(
      settings(target, sources), seed=3,
      command='python -m launchers.xtra --root_dir=runs/demo --seed=3')
  text = '\n'.join(f'{k} = {v}' for k, v in settings(target, sources).items())
  directory.write_config(given=text, operative=text)
  seed = 0
  for kind in ('data', 'teacher'):
    for source in sources:
      seed += 1
      _write_stage(directory, kind, source, sources, seed)
  _write_stage(directory, 'student', None, sources, 11)
  _write_stage(directory, 'finetune', target, sources, 12)
  _write_stage(directory, 'scratch', target, sources, 13)
  if cloning:
    _write_stage(directory, 'cloning', None, sources, 14)
  random = np.random.default_rng(5)
  for kind, level in (('student', 9), ('finetune', 17), ('scratch', 13),
                      *([('cloning', 3)] if cloning else ())):
    results.append(directory.results, ResultRecord(
        run=directory.run_id, stage=kind, task=target, step=UPDATES,
        env_steps=ENV_STEPS if kind in ('finetune', 'scratch') else 0,
        profile='fixed',
        codec='lossless', seeds=range(8),
        returns=21. * random.poisson(level, 8),
        lengths=random.integers(400, 900, 8), truncated=[False] * 8,
        statistics={'root_value': 1.9, 'max_depth': 3.2, 'mean_depth': 1.9,
                    'visit_entropy': 1.31, 'prior_to_visit_kl': 0.22},
        seconds=31.5 + level),
                   recording if kind == 'finetune' else None)
  _play_sources(directory, sources, random)
  record_incident(directory.stage('student').logs, 'older-checkpoint',
                  damaged='train/manifests/600.json', used=400)
  directory.finish('done')
  return directory


def stage_path(directory: RunDirectory, *parts: str) -> str:
  """Path of a file of the run."""
  return os.path.join(directory.path, *parts)
