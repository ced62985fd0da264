"""Planners: with a world model or without, behind the protocol of `planner`."""

from xtra_tf.planning.mcts_planner import MctsPlanner
from xtra_tf.planning.planner import Planner
from xtra_tf.planning.prior_planner import PRIOR, PriorPlanner

__all__ = ['PRIOR', 'MctsPlanner', 'Planner', 'PriorPlanner']
