"""One loop per process role: collector, teacher pass, trainer."""

from xtra_tf.workers.collector import Collector
from xtra_tf.workers.follower import Follower
from xtra_tf.workers.host_batches import HostBatches
from xtra_tf.workers.learner_group import LearnerGroup
from xtra_tf.workers.non_finite_steps import NonFiniteSteps
from xtra_tf.workers.play import Play
from xtra_tf.workers.recorder import EpisodeRecorder, FinishedGame
from xtra_tf.workers.sample_staleness import SampleStaleness
from xtra_tf.workers.step_learner import StepLearner
from xtra_tf.workers.teacher_pass import TeacherPass, TeacherPassSummary
from xtra_tf.workers.trainer import Trainer, TrainerHooks, TrainingSchedule
