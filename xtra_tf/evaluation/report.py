"""The report of a run, or of an experiment: one page that needs nothing beside.

Made from files alone. Figures lie beside the page as PNG (of an experiment as
SVG, too) and tables as csv, for whoever wants to use them elsewhere.
"""

import importlib
import os
from typing import Any, Optional, Sequence

from xtra_tf.errors import UsageError
from xtra_tf.evaluation.run_files import read_run
from xtra_tf.runs import make_folder, write_bytes


def write_report(root_dir: str, target_task: Optional[str] = None,
                 source_tasks: Optional[Sequence[str]] = None) -> str:
  """Writes a run's report, replacing an older one.

  What the run has not (yet) is named in the report, so that it can be made of
  a run at any time.

  Args:
    root_dir: the run's folder.
    target_task: the target; found in the run's settings if not given.
    source_tasks: the offline tasks; as before.

  Returns:
    Path of the page, `<root_dir>/report/index.html`. Beside it are
    figures/*.png, figures/animation.gif and tables/*.csv.

  Raises:
    UsageError: no run there, or the extra `report` is not installed.
    StorageError: the report cannot be written.
  """
  report_page = _plotting('report_page')
  run = read_run(root_dir, target_task,
                 tuple(source_tasks) if source_tasks else None)
  folder = make_folder(os.path.join(run.root, 'report'))
  page = report_page.render(run, folder)
  path = os.path.join(folder, 'index.html')
  write_bytes(path, page.encode('utf-8'))
  return path


def write_experiment_report(results_dirs: Sequence[str], output: str,
                            command: str = '', resamples: int = 2000) -> str:
  """Writes the report of an experiment, replacing an older one.

  What was not run or failed is named in the report, so that it can be made at
  any time.

  Args:
    results_dirs: folders of results of one protocol.
    output: folder for the report; made if need be.
    command: that makes the report, to be shown.
    resamples: of each bootstrap interval.

  Returns:
    Path of the page, `<output>/index.html`. Beside it are figures/*.png,
    figures/*.svg and tables/*.csv.

  Raises:
    UsageError: no results there, or the extra `report` is not installed.
    SettingsChangedError: the folders hold results of different settings.
    DataFileError: a damaged file, or a score that is not finite.
    StorageError: the report cannot be written.
  """
  page = _plotting('experiment_page')
  statistics = _plotting('experiment_statistics')
  runs = _plotting('experiment_runs')
  experiment = runs.read_experiment(results_dirs)
  folder = make_folder(os.path.abspath(output))
  text = page.render(experiment, folder, command,
                     statistics.Draws(resamples=resamples))
  path = os.path.join(folder, 'index.html')
  write_bytes(path, text.encode('utf-8'))
  return path


def _plotting(name: str) -> Any:
  """A module that needs the extra `report`; evaluation works without it."""
  try:
    return importlib.import_module(f'xtra_tf.evaluation.{name}')
  except ImportError as error:
    raise UsageError(
        f'A report needs the package {error.name}, which cannot be imported: '
        f'{error}. Expected the extra `report`, in the versions that it asks '
        'for: pip install "xtra-tf[report]".'
    ) from error
