"""Evaluations of a stage while it trains, on the learner's newest weights."""

import dataclasses
from typing import Callable, Dict

from absl import logging
import numpy as np

from xtra_tf.evaluation import results
from xtra_tf.evaluation.evaluator import Evaluator
from xtra_tf.experiments.roles import RunParts
from xtra_tf.models.world_model import WorldModel
from xtra_tf.runs import StageDirectory, run_of_stage
from xtra_tf.tasks import TaskSpec
from xtra_tf.variables import copy_variables


def make(parts: RunParts, stage: str, directory: StageDirectory,
         task: TaskSpec, online: WorldModel, acting: WorldModel
         ) -> Callable[[int, int], Dict[str, float]]:
  """What the trainer calls at evaluation points.

  Args:
    parts: of the run.
    stage: its name.
    directory: of the stage, which keeps the results.
    task: that is played.
    online: the learner's model.
    acting: the actor's, which gets these weights.

  Returns:
    (step, env_steps) -> scalars to log; none where the results are there.
  """
  settings = dataclasses.replace(
      parts.evaluation, episodes=parts.stages[stage].stage.evaluation_episodes)
  evaluator = Evaluator(task, acting, parts.planner, settings)
  run = run_of_stage(directory.path)
  run_id = run.run_id if run else ''

  def evaluation(step: int, env_steps: int) -> Dict[str, float]:
    copy_variables(online, acting)
    if any(record.step == step for record in results.read(
        directory.evaluations)):
      return {}  # an earlier session has played and logged it
    result = evaluator.run()
    results.append(directory.evaluations, result.record(
        run=run_id, stage=stage, task=task.name, step=step,
        env_steps=env_steps, codec=task.codec,
        profile=parts.description['profile']))
    logging.info('%s, step %d: %s', directory.name, step, result.returns)
    return {f'eval/{task.name}/return_mean': float(np.mean(result.returns)),
            f'eval/{task.name}/return_median': float(np.median(result.returns)),
            f'eval/{task.name}/episodes': float(len(result.returns))}

  return evaluation
