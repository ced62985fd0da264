"""Policies of TF-Agents: acting by search, and at random."""

from xtra_tf.policies.planning_policy import PlanningPolicy
from xtra_tf.policies.random_policy import RandomPolicy

__all__ = ['PlanningPolicy', 'RandomPolicy']
