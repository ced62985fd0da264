"""Fills the report's template: figures, tables, animation, sentences."""

from typing import Any, Dict, Optional, Sequence, Tuple

from matplotlib.figure import Figure

from xtra_tf import environments
from xtra_tf.errors import UserError
from xtra_tf.evaluation import (
  animation,
  figure_style,
  formatting,
  page_files,
  report_tables,
  report_text,
  score_figures,
  source_figures,
  source_tables,
  training_figures,
)
from xtra_tf.evaluation.comparison import METHODS, Comparison, compare
from xtra_tf.evaluation.formatting import Table
from xtra_tf.evaluation.page_files import PageFiles, Picture
from xtra_tf.evaluation.run_files import RunFiles
from xtra_tf.tasks import TaskSpec, get_task


def render(run: RunFiles, folder: str) -> str:
  """Writes the files beside the page and returns the page.

  Args:
    run: what was read of the run.
    folder: of the report; exists.
  """
  comparison = compare(run)
  beside = PageFiles(folder)
  # First, for replaying the game may find something to report.
  moving, moving_caption = _animation(run, beside)
  context: Dict[str, Any] = {
      'run': run, 'comparison': comparison, 'names': report_tables.NAMES,
      'colors': figure_style.METHOD_COLORS, 'format': formatting,
      'animation': moving, 'animation_caption': moving_caption,
      'figures': _figures(run, comparison, beside),
      'tables': _tables(run, comparison, beside),
      'paper_tables': [beside.table(t) for t in report_tables.paper(run)],
      'headline': report_text.headline(run, comparison),
      'scale_statement': report_text.scale_statement(run),
      'interval_text': report_tables.interval_text,
      'paper_table': comparison.paper_table and report_tables.table_name(
          comparison.paper_table),
      'incomplete': report_text.incomplete(run, comparison),
      'played': _played(run),
      'not_run': report_text.not_run(run, comparison),
      'incidents': report_text.incidents(run),
      'total_time': report_text.duration_of(run),
      'session': (run.record.get('sessions') or [{}])[-1],
      'commands': list(dict.fromkeys(
          s.get('command', '') for s in run.record.get('sessions', ()))),
      'evaluation_seeds': sorted({s for r in run.results for s in r.seeds}),
      'same_seeds': len({r.seeds for r in run.results}) == 1,
  }
  beside.remove_stale()
  return page_files.fill('report.html', **context)


def _figures(run: RunFiles, comparison: Comparison,
             beside: PageFiles) -> Dict[str, Picture]:
  """All figures by name; one that cannot be drawn says why."""
  evaluated = any(method.record for method in comparison.methods)
  made: Sequence[Tuple[str, Optional[Figure], str]] = (
      ('scores', score_figures.score_bars(run, comparison) if evaluated
       else None, 'There is no evaluation on the target yet.'),
      ('learning_curves', score_figures.learning_curves(run, comparison)
       if _played(run) or evaluated else None,
       'No game on the target has ended yet.'),
      ('task_weights', training_figures.task_weights(run),
       'No task weights were recorded: finetuning has not begun, or has no '
       'offline tasks.'),
      ('losses', training_figures.losses(run), 'No losses were recorded.'),
      ('optimization', training_figures.optimization(run),
       'Neither gradient norms nor learning rates were recorded.'),
      ('staleness', training_figures.staleness(run),
       'The age of the rows that were learned from was not recorded: no stage '
       'that plays has begun.'),
      ('search', training_figures.search(run),
       'Statistics of the searches while training were not recorded in this '
       'run.'),
      ('offline_data', score_figures.offline_returns(run),
       report_text.no_offline_returns(run)),
      ('source_scores', source_figures.scores(run),
       'No model was evaluated on its source games: the setting '
       'SourceEvaluationSettings decides.'),
      ('agreement', source_figures.run_agreement(run),
       'The agreement of student and teachers was not recorded: neither has '
       'distillation begun, nor finetuning with offline tasks.'),
      ('stage_times', training_figures.stage_times(run),
       "The stages' times were not recorded."))
  return {name: beside.picture(name, figure, missing)
          for name, figure, missing in made}


def _played(run: RunFiles) -> bool:
  """Whether a training game on the target has ended."""
  return any(len(stage.series(f'collect/{run.target}/return_raw')[0])
             for stage in run.online().values())


def _tables(run: RunFiles, comparison: Comparison,
            beside: PageFiles) -> Dict[str, Optional[Table]]:
  tables = {'scores': report_tables.scores(comparison),
            'scale': report_tables.scale(run),
            'stages': report_tables.stages(run),
            'teachers': report_tables.teachers(run),
            'source_scores': source_tables.scores(run),
            'agreement': source_tables.agreement(run),
            'search': report_tables.search_statistics(run),
            'versions': report_tables.versions(run),
            'evaluations': report_tables.evaluations(run)}
  return {name: table and beside.table(table)
          for name, table in tables.items()}


def _task(run: RunFiles) -> TaskSpec:
  """The target as it was played, as far as pictures of it depend on it."""
  for stage in run.online().values():
    described = stage.model.get('task', {})
    shape = described.get('observation_shape', ())
    if len(shape) == 3 and ':' not in run.target:
      return get_task(run.target, resolution=shape[0],
                      grayscale=shape[2] == 1,
                      sticky_actions=described.get('sticky_actions', 0.))
  return get_task(run.target)


def _animation(run: RunFiles, beside: PageFiles) -> Tuple[Picture, str]:
  """The recorded game of the first method that has one, and its caption."""
  missing = 'No evaluation game was recorded.'
  for kind in METHODS:
    record = run.final_result(kind)
    recording = run.recording(record) if record else None
    if recording is None:
      continue
    shown = min(len(recording.actions), animation.MAX_STEPS)
    try:
      made = animation.encode(environments.render_game(
          _task(run), recording.seed_index, recording.actions[:shown],
          recording.raw_rewards[:shown]))
    except (UserError, ImportError) as error:
      missing = f'The recorded game could not be played again: {error}'
      continue
    return (beside.image('figures/animation.gif', made.gif),
            _animation_caption(kind, recording, made))
  return Picture('', '', missing), ''


def _animation_caption(kind: str, recording: Any,
                       made: animation.Animation) -> str:
  length = len(recording.actions)
  part = ('the whole game' if made.steps == length else
          f'its first {made.steps:,} agent steps')
  pace = ('each agent step' if made.stride == 1 else
          f'one in {made.stride} agent steps')
  return (f'{report_tables.NAMES[kind]}: evaluation game '
          f'{recording.seed_index}, the one with the median score '
          f'({formatting.score(recording.raw_return)} in '
          f'{formatting.counted(length, "agent step")}'
          f'{", cut by the step limit" if recording.truncated else ""}). '
          f'Shown: {part}, {pace}, played again from the recorded actions; the '
          'rewards agree.')
