"""What unrolls are trained towards: functions from Unroll to Targets."""

from xtra_tf.targets.actions import ActionTargets
from xtra_tf.targets.by_task import TargetsByRows
from xtra_tf.targets.reanalyze import ReanalyzedTargets, ReanalyzeRatios
from xtra_tf.targets.settings import TargetSettings
from xtra_tf.targets.stored import StoredTargets
from xtra_tf.targets.unroll_targets import TargetsFn

__all__ = ['ActionTargets', 'ReanalyzeRatios', 'ReanalyzedTargets',
           'StoredTargets', 'TargetSettings', 'TargetsByRows', 'TargetsFn']
