"""What becomes of gradient steps whose loss or gradient is not finite."""

import collections
from typing import Any, Deque, Dict, List, Sequence

import numpy as np

from xtra_tf.errors import NonFiniteError
from xtra_tf.runs import record_incident
from xtra_tf.types import SampleInfo

LIMIT = 3  # such steps, within WINDOW, that stop the run
WINDOW = 100
_ROWS_SHOWN = 16


class NonFiniteSteps:
  """Counts steps that were not applied; a few are borne, more stop the run.

  One such step does no harm: the learner leaves weights, velocities and running
  statistics as they were. Each is an incident of its own, which names the rows
  that it came from.
  """

  def __init__(self, logs_dir: str, tasks: Sequence[str]):
    """Initializes the count.

    Args:
      logs_dir: of the stage, for incidents.
      tasks: names in index order.
    """
    self._logs_dir = logs_dir
    self._tasks = list(tasks)
    self._steps: Deque[int] = collections.deque(maxlen=LIMIT)

  def note(self, step: int, loss_info: Any,
           rows: Sequence[SampleInfo], last_good: str) -> None:
    """Records a step that was not applied.

    Args:
      step: number of the step.
      loss_info: of NumPy arrays, extra = TrainingMetrics.
      rows: where the rows of each replica came from.
      last_good: what the message says of the newest save.

    Raises:
      NonFiniteError: it is the third within a hundred steps.
    """
    parts = {name: np.asarray(value) for name, value in
             loss_info.extra.parts._asdict().items()}
    means = {name: float(np.mean(value)) for name, value in parts.items()}
    loss, norm = float(loss_info.loss), float(loss_info.extra.gradient_norm)
    record_incident(
        self._logs_dir, 'step-not-applied', step=step, loss=str(loss),
        gradient_norm=str(norm),
        parts={name: str(mean) for name, mean in means.items()},
        rows=self._suspects(parts, rows))
    self._steps.append(step)
    if len(self._steps) < LIMIT or self._steps[0] <= step - WINDOW:
      return
    raise NonFiniteError(
        f'The loss or its gradient is not finite at step {step}, as at '
        f'{LIMIT - 1} of the {WINDOW} steps before it: loss {loss}, gradient '
        f'norm {norm}, parts {means}. Expected finite numbers. None of these '
        f'updates was applied. Last good checkpoint: {last_good}. A '
        'smaller learning rate is the usual remedy; '
        f'{self._logs_dir}/incidents names the rows.')

  def check_saved(self, names: Sequence[str], step: int,
                  last_good: str) -> None:
    """Refuses to save variables that are not finite.

    Args:
      names: of such variables.
      step: that would be saved.
      last_good: what the message says of the newest save.

    Raises:
      NonFiniteError: there are any.
    """
    if names:
      shown = ', '.join(names[:5]) + (', ...' if len(names) > 5 else '')
      raise NonFiniteError(
          f'At step {step} {len(names)} variables are not finite: {shown}. '
          'Expected finite numbers; nothing was saved. Last good checkpoint: '
          f'{last_good}. A smaller learning rate is the usual remedy.')

  def _suspects(self, parts: Dict[str, np.ndarray],
                rows: Sequence[SampleInfo]) -> List[Dict[str, Any]]:
    """Rows whose own losses are not finite; none if only a gradient is."""
    bad = ~np.isfinite(np.stack(list(parts.values()))).all(axis=0)
    task, position = (
        np.concatenate([np.asarray(getattr(r, name)) for r in rows])
        for name in ('task', 'position'))
    return [{'task': self._tasks[task[row]], 'episode': int(position[row, 0]),
             'step': int(position[row, 1]),
             'parts': [name for name, value in parts.items()
                       if not np.isfinite(value[row])]}
            for row in np.flatnonzero(bad)[:_ROWS_SHOWN]]
