r"""Plays evaluation games with any checkpoint, and writes down the scores.

Examples:
  python -m launchers.evaluate --checkpoint=runs/demo/student --task=Krull
  python -m launchers.evaluate --checkpoint=runs/imported --task=Alien \
      --video=alien.mp4
  python -m launchers.evaluate --checkpoint=runs/demo/finetune/DemonAttack \
      --task=DemonAttack --episodes=8 --num_simulations=16 --output=quick.jsonl
  python -m launchers.evaluate --policy=random --task=Alien \
      --gin_file=protocols/mini.gin --output=random.jsonl
  python -m launchers.evaluate --policy=random --actions=FIRE --task=Alien \
      --output=random.jsonl

The protocol is the official one: 32 whole games from the seeds 0 to 31, which
no run's seed changes, at most 27 000 agent steps each, the action with most
visits, no noise. The search is that of the checkpoint's run or profile; a
policy of behaviour cloning plays without. --policy=random plays legal actions
at random instead, in games of the same seeds and limits; with --actions only
those, with a single one always the same: what a score has to beat before it
shows that anything was learned. The last line that it prints is the path of the
results.
"""

import sys
from typing import Any, Dict, Optional

from absl import flags

from launchers import fact_table, gin_flags, program

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(gin_flags)

_CHECKPOINT = flags.DEFINE_string(
    'checkpoint', None, 'Folder of a checkpoint or of a stage (its newest '
    'save), or one save, .../train/checkpoints/ckpt-<step>.')
_POLICY = flags.DEFINE_enum(
    'policy', 'checkpoint', ['checkpoint', 'random'], 'Who plays.')
_ACTIONS = flags.DEFINE_list(
    'actions', [], 'With --policy=random: names of the actions that are '
    'played, e.g. FIRE,LEFTFIRE; all legal ones if not given.')
_TASK = flags.DEFINE_string('task', None, 'What is played, e.g. Alien.')
_EPISODES = flags.DEFINE_integer(
    'episodes', None, 'Games, all played at once; 32 if not given.',
    lower_bound=1)
_NUM_SIMULATIONS = flags.DEFINE_integer(
    'num_simulations', None, 'Simulations of a search; as trained if not '
    'given.', lower_bound=1)
_CODEC = flags.DEFINE_enum(
    'codec', None, ['lossless', 'jpeg'], 'What observations go through; as '
    'trained if not given (official weights: jpeg).')
_OUTPUT = flags.DEFINE_string(
    'output', None, 'File that the results are added to. If not given: '
    'eval/results.jsonl of --root_dir, of the run that the checkpoint is in, '
    'or in its own folder.')
_VIDEO = flags.DEFINE_string(
    'video', None, 'File for a video of the game with the median score, .mp4 '
    'or .gif.')


def main() -> int:
  """Evaluates, and says what was found."""
  checkpoint = _checkpoint()
  task = program.require('task', _TASK.value, 'Alien')
  if not FLAGS.debug:
    program.hide_native_output()
  from xtra_tf.evaluation import results
  gin_flags.apply_trust()
  from xtra_tf.experiments import checkpoint_evaluation, random_evaluation
  from xtra_tf.runs import StageProgress
  if _VIDEO.value:
    from xtra_tf.evaluation import video
    video.check_video(_VIDEO.value)
  given: Dict[str, Any] = {
      'gin_files': FLAGS.gin_file, 'gin_bindings': FLAGS.gin_bindings,
      'episodes': _EPISODES.value, 'root_dir': FLAGS.root_dir,
      'output': _OUTPUT.value}
  evaluation: Any = (
      random_evaluation.prepare(task, actions=_ACTIONS.value, **given)
      if checkpoint is None else checkpoint_evaluation.prepare(
          checkpoint, task, num_simulations=_NUM_SIMULATIONS.value,
          codec=_CODEC.value, **given))
  with StageProgress(f'Evaluation: {task}', unit='episodes',
                     total=evaluation.settings.episodes) as progress:
    result = evaluation.play(progress.update)
  _show(evaluation, result)
  if _VIDEO.value:
    made = video.write_video(_VIDEO.value, evaluation.task, result.recording)
    shown = ('every agent step' if made.stride == 1 else
             f'one agent step in {made.stride}')
    sys.stdout.write(f'{made.path}: {shown} of the game with seed '
                     f'{result.seeds[result.recording.seed_index]}, score '
                     f'{result.recording.raw_return:g}.\n')
  if not results.append(evaluation.results_path, evaluation.record(result),
                        result.recording):
    sys.stdout.write('The results file has this very evaluation already.\n')
  sys.stdout.write(f'{evaluation.results_path}\n')
  return 0


def _checkpoint() -> Optional[str]:
  """Path of the checkpoint, None for random play.

  Raises:
    UsageError: it is missing, or random play was given what it has no use for.
  """
  if _POLICY.value == 'checkpoint':
    if _ACTIONS.value:
      from xtra_tf.errors import UsageError
      raise UsageError(f'--actions is {",".join(_ACTIONS.value)}, but a '
                       'checkpoint chooses among all legal actions. Expected '
                       '--policy=random with it.')
    return program.require('checkpoint', _CHECKPOINT.value, 'runs/demo/student')
  for flag in (_CHECKPOINT, _NUM_SIMULATIONS, _CODEC):
    if flag.value is not None:
      from xtra_tf.errors import UsageError
      raise UsageError(
          f'--{flag.name} is {flag.value}, but --policy=random plays without '
          'a checkpoint and sees nothing. Expected one of the two flags.')
  return None


def _show(evaluation: Any, result: Any) -> None:
  """Prints what was evaluated and the scores.

  Args:
    evaluation: a CheckpointEvaluation or RandomEvaluation.
    result: of its games.
  """
  from xtra_tf.evaluation.summary import summarize
  if _POLICY.value == 'random':
    names = sorted(set(_ACTIONS.value)) or ['all legal actions']
    played = (f'{names[0]} always' if len(evaluation.actions) == 1 else
              f'random play of {", ".join(names)}')
    fact_table.show(f'{evaluation.task.name}: {played}',
                    summarize(evaluation.record(result)))
    return
  rows = list(summarize(evaluation.record(result)))
  simulations = getattr(evaluation.planner, 'num_simulations', None)
  if simulations is not None:
    rows.append(('Simulations per search', f'{simulations}'))
  fact_table.show(
      f'{evaluation.task.name}: {evaluation.stage}, gradient step '
      f'{evaluation.checkpoint.step:,}, profile {evaluation.profile}, '
      f'{evaluation.task.codec} frames', rows)


if __name__ == '__main__':
  program.run(main)
