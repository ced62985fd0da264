"""We act in real Atari games: environments, frame stack, search, sample.

This is the loop of a collector without its records.
"""

import time
from typing import Any, Callable, Dict

from tf_agents.policies import py_tf_eager_policy

from benchmarks.parties import full_network, serving, xtra_network
from xtra_tf import environments, tasks
from xtra_tf.experiments.roles import acting_specs
from xtra_tf.planning import MctsPlanner
from xtra_tf.policies import PlanningPolicy

_STACK = full_network.OBSERVATION_SHAPE[-1] // 3


class _Acting:
  """Environments and policy; a call is one step of every environment."""

  def __init__(self, case: Dict[str, Any]):
    task = tasks.get_task(case['task'])
    self.environment = environments.load(
        task, num_envs=case['batch'], seed=0, training=True)
    planner = MctsPlanner(num_simulations=case['num_simulations'],
                          discount=full_network.DISCOUNT)
    policy = PlanningPolicy(*acting_specs(task), xtra_network.build_model(),
                            planner, _STACK)
    self.policy = py_tf_eager_policy.PyTFEagerPolicy(
        policy, use_tf_function=True, batch_time_steps=False)
    self._time_step = self.environment.reset()
    self._state = self.policy.get_initial_state(case['batch'])
    self.seconds = 0.  # that were spent in the environments

  def __call__(self) -> None:
    step = self.policy.action(self._time_step, self._state)
    self._state = step.state
    begun = time.perf_counter()
    self._time_step = self.environment.step(step.action)
    self.seconds += time.perf_counter() - begun


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """One step of `case['batch']` environments of `case['task']`."""
  return _Acting(case)


def measure(case: Dict[str, Any]) -> Dict[str, Any]:
  """The environments' share of the time of `case['steps']` steps."""
  acting = _Acting(case)
  acting()
  acting.seconds = 0.
  begun = time.perf_counter()
  for _ in range(case['steps']):
    acting()
  seconds = time.perf_counter() - begun
  return {'seconds': seconds, 'environment_seconds': acting.seconds}


if __name__ == '__main__':
  serving.serve(prepare, ('tensorflow', 'tf-agents', 'ale-py', 'numpy'),
                measure)
