"""What unrolls are trained towards: functions from Unroll to Targets."""

from xtra_tf.targets.by_task import TargetsByRows
from xtra_tf.targets.reanalyze import ReanalyzedTargets
from xtra_tf.targets.stored import StoredTargets
from xtra_tf.targets.unroll_targets import TargetsFn

__all__ = ['ReanalyzedTargets', 'StoredTargets', 'TargetsByRows', 'TargetsFn']
