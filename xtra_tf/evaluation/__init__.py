"""Evaluation games, their results, and the report of a run."""

from xtra_tf.evaluation import results
from xtra_tf.evaluation.evaluator import (
  EvaluationResult,
  Evaluator,
  evaluate,
  play_at_random,
)
from xtra_tf.evaluation.protocol import EvaluationSettings
from xtra_tf.evaluation.report import write_report
from xtra_tf.evaluation.results import Recording, ResultRecord

__all__ = ['EvaluationResult', 'EvaluationSettings', 'Evaluator', 'Recording',
           'ResultRecord', 'evaluate', 'play_at_random', 'results',
           'write_report']
