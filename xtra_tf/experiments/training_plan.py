"""What is special about one stage's training."""

import dataclasses
from typing import Mapping, Optional, Tuple
import zlib

from xtra_tf.episodes import EpisodeLog
from xtra_tf.replay import SharedServer
from xtra_tf.runs import StageDirectory
from xtra_tf.tasks import TaskSpec


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
  """What is special about one stage.

  Attributes:
    stage: a name of `settings.STAGES`.
    title: what the progress bar says.
    directory: where the stage keeps its files.
    tasks: in index order; the first is played if `online`.
    rows: rows of a batch per task.
    targets: `reanalyzed`, `stored`, `finetuning` or `actions`.
    logs: offline tasks' data.
    online: whether the first task is played.
    initial_weights: folder of a stage whose weights training starts from.
    initial_parts: of the model, that take these weights; None: all.
    frozen: parts of the model that training leaves as they are.
    weighted: whether offline tasks are weighted by gradient similarity.
    shared: the server that has the offline tasks' tables instead of `logs`;
      its record was checked.
  """
  stage: str
  title: str
  directory: StageDirectory
  tasks: Tuple[TaskSpec, ...]
  rows: Tuple[int, ...]
  targets: str
  logs: Mapping[str, EpisodeLog]
  online: bool = False
  initial_weights: Optional[str] = None
  initial_parts: Optional[Tuple[str, ...]] = None
  frozen: Tuple[str, ...] = ()
  weighted: bool = False
  shared: Optional[SharedServer] = None

  def seed(self, run_seed: int) -> int:
    """A seed of this stage's own, the same in every session of the run."""
    text = f'{run_seed}/{self.stage}/{self.tasks[0].name}'
    return zlib.crc32(text.encode()) % 2**31

  @property
  def taught(self) -> Tuple[str, ...]:
    """Tasks whose policy targets are a teacher's: not those searched here."""
    taught = {'stored': self.tasks, 'finetuning': self.tasks[1:]}
    return tuple(task.name for task in taught.get(self.targets, ()))
