"""The gradient step: losses, optimizer, target network, task weights, agent."""

from xtra_tf.learners.agent import WorldModelAgent
from xtra_tf.learners.settings import LearnerSettings
from xtra_tf.learners.task_weight_settings import TaskWeightSettings
from xtra_tf.learners.task_weights import TaskWeights

__all__ = ['LearnerSettings', 'TaskWeights', 'TaskWeightSettings',
           'WorldModelAgent']
