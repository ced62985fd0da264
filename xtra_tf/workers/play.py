"""What a trainer asks of whoever plays."""

from typing import Dict, List, Optional, Protocol

from xtra_tf.workers.recorder import FinishedGame


class Play(Protocol):
  """A collector in this process, or the view of several in others."""

  @property
  def env_steps(self) -> int:
    """Real environment steps taken so far, in all sessions."""

  @property
  def committed_env_steps(self) -> int:
    """Of these, those that a log holds on the disk."""

  @property
  def log_lines(self) -> Optional[List[int]]:
    """Blocks that each slot's log has committed; None if others keep them."""

  @property
  def recent_return(self) -> Optional[float]:
    """Mean raw return of the last games, None before the first has ended."""

  def collect(self, steps: int) -> List[FinishedGame]:
    """Returns once at least so many steps are taken: the games that ended."""

  def take_search_means(self) -> Dict[str, float]:
    """Means over the searches since the last call."""

  def clipped_metrics(self) -> Dict[str, float]:
    """TF-Agents' own metrics: clipped return and length between resets."""

  def flush(self) -> None:
    """Commits what has been played so far."""
