"""The largest priority that has been given so far."""

import numpy as np


class MaximumPriority:
  """New data enter a table with it, so that each is soon looked at.

  The official code takes the maximum over the buffer's present priorities
  (core/replay_buffer.py); a server cannot be asked for that, so the running
  maximum stands for it.
  """

  def __init__(self, value: float = 1.0):
    self.value = value

  def update(self, priorities: np.ndarray) -> None:
    """Takes a batch of new priorities into account; 1 if there were none."""
    finite = priorities[np.isfinite(priorities)]
    if finite.size:
      self.value = max(self.value, float(finite.max()))
