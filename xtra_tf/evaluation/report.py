"""The report of a run: one HTML page that needs nothing beside it.

Made from the files under root_dir alone. Figures lie beside the page as PNG and
tables as csv, for whoever wants to use them elsewhere.
"""

import os
from typing import Optional, Sequence

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
  try:
    # Plotting is an extra; evaluation must work without it.
    from xtra_tf.evaluation import report_page
  except ImportError as error:
    raise UsageError(
        f'A report needs the package {error.name}, which is not installed. '
        'Expected the extra `report`: pip install "xtra-tf[report]".'
    ) from error
  run = read_run(root_dir, target_task,
                 tuple(source_tasks) if source_tasks else None)
  folder = make_folder(os.path.join(run.root, 'report'))
  page = report_page.render(run, folder)
  path = os.path.join(folder, 'index.html')
  write_bytes(path, page.encode('utf-8'))
  return path
