"""What a policy says beside its action, the same for every policy."""

from typing import Any, Dict

import tensorflow as tf

from xtra_tf.types import SearchStatistics


def search_info_spec(num_actions: int) -> Dict[str, Any]:
  """Specs of the info of one action step, without batch axis.

  Args:
    num_actions: A, of the task family.

  Returns:
    `search` <float32>[A] visit counts, `root_value` <float32>[], `statistics`
    SearchStatistics of <float32>[].
  """
  return {
      'search': tf.TensorSpec([num_actions], tf.float32, 'search'),
      'root_value': tf.TensorSpec([], tf.float32, 'root_value'),
      'statistics': SearchStatistics(*(
          tf.TensorSpec([], tf.float32, name)
          for name in SearchStatistics._fields))}
