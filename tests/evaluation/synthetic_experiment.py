"""Results like those of an experiment, with invented numbers, for tests.

Written by the experiment's own writer.
"""

import hashlib
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from xtra_tf.evaluation.experiment_records import (
  ExperimentRecord,
  ExperimentResult,
  MethodRecord,
  RunCost,
  RunFailure,
  RunKey,
  TargetRecord,
)
from xtra_tf.evaluation.experiment_results import ExperimentResults
from xtra_tf.evaluation.results import ResultRecord

ENV_STEPS = 4000
UPDATES = 1200
GAMES = 8
# {method: (label, stage, level of its scores against EfficientZero)}
METHODS: Dict[str, Tuple[str, str, float]] = {
    'efficientzero': ('EfficientZero', 'scratch', 1.),
    'xtra': ('XTRA', 'finetune', 1.25),
    'without_cross_task': ('XTRA without cross-task', 'finetune', 1.05),
    'without_task_weights': ('XTRA without task weights', 'finetune', 0.9),
    'zero_shot': ('XTRA, zero-shot', 'student', 0.3)}
TARGETS: Dict[str, Tuple[str, ...]] = {
    'Assault': ('Carnival', 'DemonAttack'),
    'Phoenix': ('Assault', 'Carnival')}
_LEVELS = {'Assault': 900., 'Phoenix': 2400., 'Carnival': 1500.,
           'Centipede': 2500., 'DemonAttack': 400.}


def record(methods: Iterable[str] = tuple(METHODS),
           targets: Optional[Mapping[str, Sequence[str]]] = None,
           seeds: Sequence[int] = (0, 1, 2),
           settings: Optional[Mapping[str, str]] = None,
           name: str = 'mini') -> ExperimentRecord:
  """What the experiment asks for."""
  return ExperimentRecord(
      name, ('protocols/mini.gin',), (),
      tuple(MethodRecord(
          m, METHODS[m][0], (f'methods/{m}.gin',), METHODS[m][1],
          {} if m == 'xtra' else {'finetune/StageSettings.method': repr(m)})
            for m in methods),
      tuple(TargetRecord(t, f'tasksets/{t}.gin', tuple(s))
            for t, s in (targets or TARGETS).items()),
      tuple(seeds),
      dict(settings or {'ENV_STEPS': str(ENV_STEPS), 'NUM_SIMULATIONS': '8',
                        'EvaluationSettings.episodes': str(GAMES)}),
      'a' * 64, {'python': '3.11.7', 'tensorflow': '2.15.1'},
      {'system': 'Linux', 'processor_model': 'an invented processor',
       'processors': 2, 'memory_bytes': 8 * 2 ** 30},
      {'commit': 'b' * 40, 'dirty': False},
      'python -m launchers.experiment --gin_file=protocols/mini.gin '
      '--results_dir=results/mini', '2026-01-05T12:00:00Z')


def evaluation(key: RunKey, stage: str, task: str, env_steps: int,
               returns: Sequence[float]) -> ResultRecord:
  """One evaluation, one entry per game."""
  count = len(returns)
  return ResultRecord(
      f'{key.method}-{key.seed}', stage, task, env_steps * UPDATES // ENV_STEPS,
      env_steps, 'fixed', 'lossless', tuple(range(count)), tuple(returns),
      (500,) * count, (False,) * count, {'visit_entropy': 1.2}, 12.5)


def write_run(folder: ExperimentResults, key: RunKey, stage: str,
              level: float, sources: Sequence[str]) -> None:
  """Everything of a finished run, with a mean score near `level`."""
  random = np.random.default_rng(hash_of(key))
  level *= random.uniform(0.8, 1.2)
  steps = [0] if stage == 'student' else list(range(0, ENV_STEPS + 1, 1000))
  for env_steps in steps:
    grown = level * (0.25 + 0.75 * (env_steps / ENV_STEPS) ** 0.7
                     if len(steps) > 1 else 1.)
    returns = np.round(random.gamma(6., grown / 6., GAMES))
    folder.append_result(ExperimentResult(
        *key, env_steps == steps[-1],
        evaluation(key, stage, key.target, env_steps, returns)))
  if stage == 'finetune':
    _evaluate_sources(folder, key, sources, random)
  shared = {'student': f'{key.target}-student'} if stage == 'student' else {}
  own = {} if stage == 'student' else {stage: 600. + 40 * random.normal()}
  folder.append_cost(RunCost(*key, own,
                             UPDATES, steps[-1], shared,
                             dict.fromkeys(shared, 900.)))
  folder.write_metrics(key, rows(key, stage, level, sources, random))


def _evaluate_sources(folder: ExperimentResults, key: RunKey,
                      sources: Sequence[str],
                      random: np.random.Generator) -> None:
  for source in sources:
    for stage, factor in (('teacher', 0.6), ('student', 0.5),
                          ('finetune', 0.35)):
      folder.append_result(ExperimentResult(*key, False, evaluation(
          key, stage, source, 0 if stage != 'finetune' else ENV_STEPS,
          np.round(random.gamma(6., factor * _LEVELS.get(source, 9.) / 6.,
                                GAMES)))))


def rows(key: RunKey, stage: str, level: float, sources: Sequence[str],
         random: np.random.Generator) -> List[Dict[str, Any]]:
  """A run's time series."""
  found: List[Dict[str, Any]] = []
  weights = dict.fromkeys(sources, 1.)
  for step in range(0, UPDATES + 1, 12):
    progress = step / UPDATES
    row: Dict[str, Any] = {
        'step': step, 'env_steps': step * ENV_STEPS // UPDATES,
        'time': 1e9 + step, 'loss/total': 12 * np.exp(-progress) + 1.}
    if stage != 'student' and step % 24 == 0:
      row[f'collect/{key.target}/return_raw'] = float(np.round(random.gamma(
          3., level * (0.25 + 0.6 * progress) / 3.)))
    if stage == 'finetune' and key.method != 'without_cross_task':
      for number, source in enumerate(sources):
        cosine = 0.25 - 0.12 * number + 0.05 * random.normal()
        row[f'transfer/cosine/{source}'] = cosine
        if step % 240 == 0 and key.method != 'without_task_weights':
          weights[source] = float(np.clip(0.5 + 2 * cosine, 0, 1))
        row[f'transfer/weight/{source}'] = weights[source]
        row[f'transfer/agreement/{source}'] = 0.7 - 0.3 * progress
        row[f'student/agreement/{source}'] = 0.1 + 0.6 * progress
    found.append(row)
  return found


def hash_of(key: RunKey) -> int:
  """A number that depends on the run only, the same in every process."""
  return int(hashlib.sha256(str(key).encode()).hexdigest()[:12], 16)


def write(path: str, asked: Optional[ExperimentRecord] = None,
          leave_out: Iterable[RunKey] = (),
          failed: Iterable[RunKey] = ()) -> ExperimentResults:
  """Writes a whole experiment.

  Args:
    path: the folder.
    asked: what the experiment asks for.
    leave_out: runs that were not made.
    failed: runs that ended in an error.
  """
  asked = asked or record()
  folder = ExperimentResults(path)
  folder.begin(asked)
  sources = {target.name: target.sources for target in asked.targets}
  for key in asked.runs():
    if key in set(failed):
      folder.append_failure(RunFailure(
          *key, 70, 'The loss is not finite at step 312.', 'finetune',
          '2026-01-05T13:00:00Z'))
    elif key not in set(leave_out):
      label, stage, factor = METHODS[key.method]
      write_run(folder, key, stage, factor * _LEVELS.get(key.target, 10.),
                sources[key.target])
  return folder
