"""Fills the template of an experiment's report."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

from matplotlib.figure import Figure

from xtra_tf.evaluation import (
  experiment_curves,
  experiment_figures,
  experiment_provenance,
  experiment_tables,
  experiment_text,
  formatting,
  heat_maps,
  page_files,
  paper_comparison,
  source_figures,
)
from xtra_tf.evaluation.comparison import paper_table
from xtra_tf.evaluation.experiment_curves import Curve
from xtra_tf.evaluation.experiment_runs import Experiment
from xtra_tf.evaluation.experiment_scores import Scores
from xtra_tf.evaluation.experiment_statistics import DRAWS, Draws
from xtra_tf.evaluation.formatting import Table
from xtra_tf.evaluation.page_files import PageFiles, Picture
from xtra_tf.evaluation.report_tables import table_name

_Made = Sequence[Tuple[str, Optional[Figure], str]]


def render(experiment: Experiment, folder: str, command: str,
           draws: Draws = DRAWS) -> str:
  """Writes the files beside the page and returns the page.

  Args:
    experiment: what was read.
    folder: of the report; exists.
    command: that makes this report.
    draws: of all bootstrap intervals.
  """
  scores = Scores(experiment, draws)
  evaluations, training = (
      [[curve for method in experiment.methods
        for curve in [make(experiment, method, target.name, draws)] if curve]
       for target in experiment.targets]
      for make in (experiment_curves.evaluation_curve,
                   experiment_curves.training_curve))
  files = PageFiles(folder, vector=True)
  context: Dict[str, Any] = {
      'experiment': experiment, 'scores': scores, 'draws': draws,
      'format': formatting, 'report_command': command,
      'figures': _figures(scores, evaluations, training, files),
      'weight_figures': _weight_figures(experiment, files),
      'tables': _tables(scores, evaluations, files),
      'paper': _paper(scores, files),
      'progress': experiment_text.progress(experiment),
      'headline': experiment_text.headline(scores),
      'scale': experiment_text.scale(scores),
      'cautions': experiment_text.cautions(scores, [*evaluations, *training]),
      'left_out': experiment_text.left_out(scores),
      'missing': experiment_provenance.missing(experiment),
      'machine': experiment_provenance.machine,
  }
  files.remove_stale()
  return page_files.fill('experiment.html', **context)


def _figures(scores: Scores, evaluations: Sequence[Sequence[Curve]],
             training: Sequence[Sequence[Curve]], files: PageFiles
             ) -> Dict[str, Picture]:
  """All figures by name; one that cannot be drawn says why."""
  experiment = scores.experiment
  done = experiment.in_state('done')
  # One evaluation a run makes no curve.
  evaluated = any(len(seed.steps) > 1 for found in evaluations
                  for curve in found for seed in curve.seeds)
  made: _Made = (
      ('scores', experiment_figures.scores(scores) if done else None,
       'No run is done yet.'),
      ('aggregates', experiment_figures.aggregates(scores),
       'No method has a run on every target.'),
      ('learning_curves', experiment_figures.learning_curves(
          experiment, evaluations, True) if evaluated else None,
       'No run was evaluated more than once.'),
      ('training_curves', experiment_figures.learning_curves(
          experiment, training, False),
       "The training games' scores were not recorded."),
      ('forgetting', experiment_figures.forgetting(
          experiment, experiment_curves.forgetting(experiment, scores.draws)),
       'No finetuned model was evaluated on its source tasks.'),
      ('agreement', _agreement(experiment),
       'The agreement of student and teacher was not recorded over time.'))
  return {name: files.picture(name, figure, missing)
          for name, figure, missing in made}


def _agreement(experiment: Experiment) -> Optional[Figure]:
  """Agreement with the teachers over time, of whichever runs recorded it."""
  sources = experiment_tables.sources(experiment)

  def lines(prefix: str) -> source_figures.Lines:
    return {source: [pair for run in experiment.runs.values() for pair in
                     [run.files.series(prefix + source)] if len(pair[0])]
            for source in sources}

  return source_figures.agreement(dict(zip(
      ('Student while distilled', 'Model while finetuned'),
      map(lines, experiment_tables.AGREEMENT))), sources)


def _weight_figures(experiment: Experiment, files: PageFiles
                    ) -> List[Tuple[str, Picture]]:
  """(method's label, heat maps) of each method with recorded weights."""
  found = []
  for method in experiment.methods:
    figure = heat_maps.task_weights(experiment, method.name)
    if figure is not None:
      found.append((method.label, files.picture(
          f'task_weights_{method.name}', figure, '')))
  return found


def _tables(scores: Scores, evaluations: Sequence[Sequence[Curve]],
            files: PageFiles) -> Dict[str, Optional[Table]]:
  experiment = scores.experiment
  transfer = [row for target, found in zip(experiment.targets, evaluations)
              for row in experiment_curves.transfer(scores, found,
                                                    target.name)]
  tables = {
      'results': experiment_tables.results(scores),
      'improvements': experiment_tables.improvements(scores),
      'human_normalised': experiment_tables.human_normalised(scores),
      'transfer': experiment_tables.transfer(transfer) if transfer else None,
      'task_weights': experiment_tables.task_weights(experiment),
      'forgetting': experiment_tables.forgetting(
          experiment_curves.forgetting(experiment, scores.draws)),
      'teachers': experiment_tables.teachers(experiment),
      'runs': experiment_provenance.runs(experiment),
      'games': experiment_provenance.games(experiment),
      'failures': experiment_provenance.failures(experiment),
      'costs': experiment_provenance.costs(experiment),
      'methods': experiment_provenance.differences(experiment),
      'targets': experiment_provenance.targets(experiment),
      'versions': experiment_provenance.versions(experiment)}
  return {name: table and files.table(table)
          for name, table in tables.items()}


def _paper(scores: Scores, files: PageFiles
           ) -> List[Tuple[str, Table, List[str]]]:
  """The paper's tables: name, table, our targets that it has."""
  found = []
  for name in paper_comparison.TABLES:
    ours = [target.name for target in scores.experiment.targets
            if paper_table(target.name, target.sources) == name]
    found.append((table_name(name), files.table(
        paper_comparison.beside_paper(scores, name)), ours))
  return found
