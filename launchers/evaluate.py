r"""Plays evaluation games with any checkpoint, and writes down the scores.

Examples:
  python -m launchers.evaluate --checkpoint=runs/demo/student --task=Krull
  python -m launchers.evaluate --checkpoint=runs/imported --task=Alien \
      --video=alien.mp4
  python -m launchers.evaluate --checkpoint=runs/demo/finetune/DemonAttack \
      --task=DemonAttack --episodes=8 --num_simulations=16 --output=quick.jsonl
  python -m launchers.evaluate --policy=random --task=tiny:paddle \
      --gin_file=protocols/mini.gin --output=random.jsonl
  python -m launchers.evaluate --policy=random --actions=FIRE --task=Alien \
      --output=random.jsonl
  python -m launchers.evaluate --follow --root_dir=runs/krull --stage=scratch

The protocol is the official one: 32 whole games from the seeds 0 to 31, which
no run's seed changes, at most 27 000 agent steps each, the action with most
visits, no noise. The search is that of the checkpoint's run or profile; a
policy of behaviour cloning plays without. --policy=random plays legal actions
at random instead, in games of the same seeds and limits; with --actions only
those, with a single one always the same: what a score has to beat before it
shows that anything was learned. The last line that it prints is the path of the
results.

With --follow every save of a stage is evaluated as it comes, beside the learner
(which may start later) and until the stage is done; of several that came while
games were played, the newest. The stage is named by --checkpoint and --task,
or, with the run's own gin files, by --root_dir and --stage. The lines are added
to the run's results, each with its step; the report takes the one of the last
step for the stage's score.
"""

import math
import sys
from typing import Any, Dict, Optional

from absl import flags

from launchers import fact_table, gin_flags, program, stage_flag

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(gin_flags)
flags.adopt_module_key_flags(stage_flag)

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
_FOLLOW = flags.DEFINE_bool(
    'follow', False, 'Evaluate every save of a stage as it comes, until the '
    'stage is done.')
_MAX_WAIT = flags.DEFINE_float(
    'max_wait', 0., 'With --follow: seconds without a new save before the '
    'program ends with 69; 0: it waits for ever.', lower_bound=0.)



def main() -> int:
  """Evaluates one checkpoint, or all saves of a stage."""
  return _follow() if _FOLLOW.value else _evaluate()


def _follow() -> int:
  """Evaluates the saves of a stage until it is done."""
  for flag in (_VIDEO, _ACTIONS):
    if flag.value:
      program.fail(f'--follow makes no use of --{flag.name}. Expected one of '
                   'the two.')
  if _POLICY.value != 'checkpoint' or (FLAGS.stage and _CHECKPOINT.value):
    program.fail('--follow plays the saves of one stage. Expected --root_dir '
                 'and --stage, or --checkpoint and --task.')
  where = (
      (program.require_root_dir(), FLAGS.stage) if FLAGS.stage else
      (program.require('checkpoint', _CHECKPOINT.value,
                       'runs/krull/scratch/Krull'),
       program.require('task', _TASK.value, 'Krull')))
  if not FLAGS.debug:
    program.hide_native_output()
  gin_flags.apply_trust()
  from xtra_tf.experiments import save_following
  gin_files = FLAGS.gin_file
  followed = save_following.Followed(*where)
  if FLAGS.stage:
    gin_files = gin_flags.files()
    followed = save_following.stage_of_run(
        *where, gin_files, FLAGS.gin_bindings)
    if _TASK.value:
      followed = followed._replace(task=_TASK.value)
  path = save_following.SaveFollower(followed, save_following.FollowSettings(
      gin_files, FLAGS.gin_bindings, _EPISODES.value, _NUM_SIMULATIONS.value,
      _CODEC.value, None if _OUTPUT.value else FLAGS.root_dir, _OUTPUT.value,
      _MAX_WAIT.value or math.inf), _say).run()
  _say(path)
  return 0


def _say(line: str) -> None:
  sys.stdout.write(f'{line}\n')
  sys.stdout.flush()


def _evaluate() -> int:
  """Evaluates, and says what was found."""
  if FLAGS.stage or _MAX_WAIT.value:
    program.fail('--stage and --max_wait belong to --follow. Expected '
                 '--checkpoint=FOLDER, or --follow with them.')
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
