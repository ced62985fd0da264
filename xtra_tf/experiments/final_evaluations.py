"""The judgement of finished stages: on the target, and on the source tasks.

What a model scores on source tasks says how good a teacher is, how much of it
the student has, and what finetuning forgets. All results are lines of the run's
eval/results.jsonl. Those of teachers and student stand beside their stage, too
(evaluations.jsonl), where runs that take the stage over find them.
"""

import dataclasses
from typing import List, NamedTuple, Sequence, Set, Tuple

from absl import logging

from xtra_tf.evaluation import EvaluationSettings, Evaluator, results
from xtra_tf.evaluation.protocol import SOURCE_STAGES
from xtra_tf.evaluation.results import ResultRecord
from xtra_tf.experiments import roles, stage_settings
from xtra_tf.experiments.experiment_settings import JUDGED
from xtra_tf.experiments.settings import MAIN_STAGES
from xtra_tf.experiments.stages import StageRun
from xtra_tf.runs import StageDirectory, StageProgress
from xtra_tf.runs.run_directory import WITHOUT_TASK
from xtra_tf.tasks import TaskSpec
from xtra_tf.variables import resolve_checkpoint, restore_world_model

# Stage, task, gradient steps, games.
_Known = Set[Tuple[str, str, int, int]]


class _Judged(NamedTuple):
  """A model and what it is to play."""
  kind: str  # of its stage
  stage: StageDirectory
  network: Tuple[TaskSpec, ...]  # the tasks that its network was built for
  played: Tuple[TaskSpec, ...]


def on_target(run: StageRun, chosen: Sequence[str] = MAIN_STAGES) -> None:
  """Evaluates student (zero-shot), finetuned model and control on the target.

  And the policy of behaviour cloning, which plays without search.

  Results that are there already are not made again.

  Args:
    run: whose stages are done.
    chosen: the stages whose models are evaluated; data and teachers have none
      for the target.
  """
  parts = run.parts
  for kind in JUDGED:
    if kind in chosen:
      stage = run.directory.stage(
          kind, None if kind in WITHOUT_TASK else parts.target.name)
      _play(run, _Judged(kind, stage, roles.stage_tasks(parts, kind),
                         (parts.target,)), parts.evaluation)


def on_sources(run: StageRun, kind: str) -> None:
  """Evaluates the models of a stage on the source tasks, if that is asked for.

  Results that are there already, with this run or with a stage that it took
  over, are not made again.

  Args:
    run: the run; the stage is done.
    kind: any of `STAGES`.
  """
  parts = run.parts
  episodes = parts.source_evaluation.episodes_of(kind)
  take_over(run, [kind])
  if not episodes:
    return
  settings = dataclasses.replace(parts.evaluation, episodes=episodes)
  for judged in _of_sources(run, kind):
    _play(run, judged, settings)


def take_over(run: StageRun,
              kinds: Sequence[str] = stage_settings.SHAREABLE) -> None:
  """Takes the scores that stand beside finished stages into the run's results.

  Those of games under another step limit than the run's are left where they
  are, which the log says.

  Args:
    run: the run.
    kinds: of the stages.
  """
  limit = run.parts.evaluation.max_episode_steps
  for judged in [judged for kind in kinds for judged in _of_sources(run, kind)]:
    known, names = _known(run), [task.name for task in judged.played]
    found = [record for record in results.read(judged.stage.evaluations)
             if record.task in names and _key(record) not in known]
    if not found or judged.stage.read_done() is None:
      continue
    step = resolve_checkpoint(judged.stage.path).step
    for record in found:
      if record.step != step:
        continue
      if record.step_limit != limit:
        logging.warning(
            'The score of %s on %s in %s is not taken over: its games were cut '
            'after %d steps, this run has EvaluationSettings.max_episode_steps '
            '= %d.', judged.stage.name, record.task, judged.stage.evaluations,
            record.step_limit, limit)
        continue
      results.append(run.directory.results, record)


def _of_sources(run: StageRun, kind: str) -> List[_Judged]:
  """The models of a stage that can play source tasks, done or not."""
  parts = run.parts
  if kind not in SOURCE_STAGES:
    return []
  if kind == 'teacher':
    return [_Judged(kind, run.directory.stage(kind, task.name), (task,),
                    (task,)) for task in parts.sources]
  stage = run.directory.stage(
      kind, None if kind in WITHOUT_TASK else parts.target.name)
  return [_Judged(kind, stage, roles.stage_tasks(parts, kind), parts.sources)]


def _known(run: StageRun) -> _Known:
  """There may be others, of earlier saves or more games, by the launcher."""
  return {_key(record) for record in results.read(run.directory.results)}


def _key(record: ResultRecord) -> Tuple[str, str, int, int]:
  return (record.stage.split('/')[0], record.task, record.step,
          len(record.seeds))


def _play(run: StageRun, judged: _Judged,
          settings: EvaluationSettings) -> None:
  """Plays what is not known yet of a model."""
  parts = run.parts
  step, known = resolve_checkpoint(judged.stage.path).step, _known(run)
  due = [task for task in judged.played
         if (judged.kind, task.name, step, settings.episodes) not in known]
  if not due:
    return
  model = roles.build_model(
      parts, parts.seed,
      roles.describe_model(parts, judged.kind, judged.network))
  restored = restore_world_model(model, judged.stage.path)
  evaluator = Evaluator(
      due[0], model, roles.acting_planner(parts, judged.kind), settings)
  for task in due:
    about = '' if task == parts.target else f' on {task.name}'
    evaluator = evaluator.of_task(task)
    with StageProgress(f'Evaluation: {judged.kind}{about}',
                       total=settings.episodes, unit='episodes') as progress:
      result = evaluator.run(progress=progress.update)
    record = result.record(
        run=run.directory.run_id, stage=judged.kind, task=task.name,
        step=restored.step, env_steps=restored.env_steps,
        profile=parts.description['profile'], codec=task.codec)
    if task == parts.target:
      results.append(run.directory.results, record, result.recording)
      continue
    # Beside a stage that other runs may take over; theirs are left alone.
    if (judged.kind in stage_settings.SHAREABLE and judged.stage.name
        not in run.directory.record.get('inherited', {})):
      results.append(judged.stage.evaluations, record)
    results.append(run.directory.results, record)
