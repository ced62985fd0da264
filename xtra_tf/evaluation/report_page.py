"""Fills the report's template: figures, tables, animation, sentences."""

import base64
import contextlib
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import jinja2
from matplotlib.figure import Figure

from xtra_tf import environments
from xtra_tf.errors import UserError
from xtra_tf.evaluation import (
  animation,
  figure_style,
  formatting,
  report_tables,
  report_text,
  score_figures,
  training_figures,
)
from xtra_tf.evaluation.comparison import METHODS, Comparison, compare
from xtra_tf.evaluation.formatting import Table
from xtra_tf.evaluation.run_files import RunFiles
from xtra_tf.runs import make_folder, write_bytes
from xtra_tf.tasks import TaskSpec, get_task

_TEMPLATES = os.path.join(os.path.dirname(__file__), 'templates')


class Picture(NamedTuple):
  """A figure or animation of the page."""
  data: str  # data: URI, '' where there is none
  file: str  # path relative to the page
  missing: str  # why there is none


class _Beside:
  """The files beside the page."""

  def __init__(self, folder: str):
    self._folder = folder
    self._written: List[str] = []
    for name in ('figures', 'tables'):
      make_folder(os.path.join(folder, name))

  def write(self, path: str, data: bytes) -> None:
    write_bytes(os.path.join(self._folder, path), data)
    self._written.append(path)

  def picture(self, name: str, figure: Optional[Figure],
              missing: str) -> Picture:
    """Writes a figure as PNG; without one, the page says what is missing."""
    if figure is None:
      return Picture('', '', missing)
    return self.image(f'figures/{name}.png', figure_style.to_png(figure))

  def image(self, path: str, data: bytes) -> Picture:
    kind = path.rpartition('.')[2]
    self.write(path, data)
    text = base64.b64encode(data).decode('ascii')
    return Picture(f'data:image/{kind};base64,{text}', path, '')

  def table(self, table: Table) -> Table:
    """Writes a table as csv and hands it back for the page."""
    self.write(f'tables/{table.name}.csv', table.to_csv().encode('utf-8'))
    return table

  def remove_stale(self) -> None:
    """Removes what an older report has left and this one does not have."""
    for name in ('figures', 'tables'):
      for file in os.listdir(os.path.join(self._folder, name)):
        if f'{name}/{file}' not in self._written and file.endswith(
            ('.png', '.gif', '.csv')):
          with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._folder, name, file))


def render(run: RunFiles, folder: str) -> str:
  """Writes the files beside the page and returns the page.

  Args:
    run: what was read of the run.
    folder: of the report; exists.
  """
  comparison = compare(run)
  beside = _Beside(folder)
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
  environment = jinja2.Environment(
      loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True,
      undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
  return environment.get_template('report.html').render(context)


def _figures(run: RunFiles, comparison: Comparison,
             beside: _Beside) -> Dict[str, Picture]:
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
      ('search', training_figures.search(run),
       'Statistics of the searches while training were not recorded in this '
       'run.'),
      ('offline_data', score_figures.offline_returns(run),
       report_text.no_offline_returns(run)),
      ('stage_times', training_figures.stage_times(run),
       "The stages' times were not recorded."))
  return {name: beside.picture(name, figure, missing)
          for name, figure, missing in made}


def _played(run: RunFiles) -> bool:
  """Whether a training game on the target has ended."""
  return any(len(stage.series(f'collect/{run.target}/return_raw')[0])
             for stage in run.online().values())


def _tables(run: RunFiles, comparison: Comparison,
            beside: _Beside) -> Dict[str, Optional[Table]]:
  tables = {'scores': report_tables.scores(comparison),
            'scale': report_tables.scale(run),
            'stages': report_tables.stages(run),
            'teachers': report_tables.teachers(run),
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


def _animation(run: RunFiles, beside: _Beside) -> Tuple[Picture, str]:
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
