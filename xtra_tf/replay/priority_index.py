"""Draws numbered slots in proportion to their weights, each at most once."""

import math

import numpy as np

_FIRST_CAPACITY = 1024


class PriorityIndex:
  """A tree of sums over the weights of the slots 0, 1, 2, ...

  A node is the sum of its two children, computed anew from them whenever one
  changes, so that sums do not drift. A draw or an update of n slots takes
  O(n log size) steps; the memory is 16 to 32 bytes a slot. All randomness
  comes from the caller.

  Not to be used by two threads.
  """

  def __init__(self) -> None:
    self._leaves = _FIRST_CAPACITY
    # Root at 1, leaves from `_leaves` on.
    self._sums = np.zeros([2 * self._leaves])

  @property
  def total(self) -> float:
    """Sum of all weights."""
    return float(self._sums[1])

  def weights(self, slots: np.ndarray) -> np.ndarray:
    """<float64>[n] of <int64>[n] slots; 0 for one that was never set."""
    found = np.zeros([len(slots)])
    known = slots < self._leaves
    found[known] = self._sums[self._leaves + slots[known]]
    return found

  def set(self, slots: np.ndarray, weights: np.ndarray) -> None:
    """Changes weights.

    Args:
      slots: <int64>[n]; of a slot that is named twice the last weight counts.
      weights: <float64>[n], finite, 0 or more; 0 is never drawn.

    Raises:
      ValueError: for another weight.
    """
    slots, weights = np.asarray(slots, np.int64), np.asarray(weights, float)
    possible = np.isfinite(weights) & (weights >= 0.)
    if not possible.all():
      raise ValueError('Weights must be finite and 0 or more, got '
                       f'{weights[~possible].tolist()}.')
    if not slots.size:
      return
    while slots.max() >= self._leaves:
      self._grow()
    nodes = self._leaves + slots
    self._sums[nodes] = weights
    while nodes[0] > 1:
      nodes = np.unique(nodes // 2)
      self._sums[nodes] = self._sums[2 * nodes] + self._sums[2 * nodes + 1]

  def put(self, slot: int, weight: float) -> None:
    """Changes one weight: `set` of a single slot, some ten times as fast.

    Args:
      slot: 0 or more.
      weight: finite, 0 or more.

    Raises:
      ValueError: for another weight.
    """
    if not (math.isfinite(weight) and weight >= 0.):
      raise ValueError(f'Weights must be finite and 0 or more, got {[weight]}.')
    while slot >= self._leaves:
      self._grow()
    sums, node = self._sums, self._leaves + slot
    sums[node] = weight
    while node > 1:
      node //= 2
      sums[node] = sums[2 * node] + sums[2 * node + 1]

  def draw(self, count: int, random: np.random.Generator) -> np.ndarray:
    """Draws slots without replacement.

    The first is i with probability w_i / sum(w); each further one is drawn in
    the same way among those that are left. Source: `np.random.choice(...,
    p=probs, replace=False)` in EfficientZero `core/replay_buffer.py:65-125`,
    which has the same law in O(size).

    Args:
      count: slots to draw.
      random: the source of randomness.

    Returns:
      <int64>[count] in the order of drawing.

    Raises:
      ValueError: fewer slots have a weight above 0.
    """
    drawn = np.zeros([0], np.int64)
    kept = np.zeros([0])
    try:
      while drawn.size < count:
        if not self.total > 0.:
          raise ValueError(f'Cannot draw {count} slots: only {drawn.size} have '
                           'a weight above 0.')
        # Draws with replacement of which the repeated ones are passed over.
        slots = self._find(
            self.total * random.random(count - drawn.size))
        _, first = np.unique(slots, return_index=True)
        fresh = slots[np.sort(first)]
        drawn = np.concatenate([drawn, fresh])
        kept = np.concatenate([kept, self.weights(fresh)])
        self.set(fresh, np.zeros([fresh.size]))
    finally:
      self.set(drawn, kept)
    return drawn

  def _find(self, points: np.ndarray) -> np.ndarray:
    """The slots in whose shares of [0, total) some points lie."""
    nodes = np.ones([points.size], np.int64)
    while nodes.size and nodes[0] < self._leaves:
      left, right = self._sums[2 * nodes], self._sums[2 * nodes + 1]
      # A point may be rounded to the end of its share: never enter an empty
      # subtree.
      goes_right = (points >= left) & (right > 0.)
      points = np.where(goes_right, points - left, points)
      nodes = 2 * nodes + goes_right
    return nodes - self._leaves

  def _grow(self) -> None:
    leaves = self._sums[self._leaves:]
    self._leaves *= 2
    self._sums = np.zeros([2 * self._leaves])
    self.set(np.arange(leaves.size), leaves)
