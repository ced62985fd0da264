"""Planners: searches with a world model, behind the protocol of `planner`."""

from xtra_tf.planning.mcts_planner import MctsPlanner
from xtra_tf.planning.planner import Planner

__all__ = ['MctsPlanner', 'Planner']
