"""We act in real Atari games: environments, frame stack, search, sample.

This is the loop of a collector without its records. `groups` of the games may
take turns: while one is searched, the others' emulators play in a thread.
"""

from concurrent import futures
import time
from typing import Any, Callable, Dict, Optional

from tf_agents.policies import py_tf_eager_policy

from benchmarks.parties import full_network, serving, xtra_network
from xtra_tf import environments, tasks
from xtra_tf.experiments.roles import acting_specs
from xtra_tf.planning import MctsPlanner
from xtra_tf.policies import PlanningPolicy

_STACK = full_network.OBSERVATION_SHAPE[-1] // 3


class _Group:
  """Some of the games."""

  def __init__(self, task: tasks.TaskSpec, num_envs: int, seed: int):
    self.environment = environments.load(
        task, num_envs=num_envs, seed=seed, training=True)
    self.time_step = self.environment.reset()
    self.state: Any = None
    self.pending: Optional['futures.Future[Any]'] = None
    self.seconds = 0.  # that were spent in the environments

  def step(self, action: Any) -> Any:
    """Plays; meant for a thread as well."""
    begun = time.perf_counter()
    time_step = self.environment.step(action)
    self.seconds += time.perf_counter() - begun
    return time_step


class _Acting:
  """Environments and policy; a call is one step of every environment."""

  def __init__(self, case: Dict[str, Any]):
    task = tasks.get_task(case['task'])
    planner = MctsPlanner(num_simulations=case['num_simulations'],
                          discount=full_network.DISCOUNT)
    policy = PlanningPolicy(*acting_specs(task), xtra_network.build_model(),
                            planner, _STACK)
    self.policy = py_tf_eager_policy.PyTFEagerPolicy(
        policy, use_tf_function=True, batch_time_steps=False)
    number = case.get('groups', 1)
    size = case['batch'] // number
    self.groups = [_Group(task, size, seed) for seed in range(number)]
    for group in self.groups:
      group.state = self.policy.get_initial_state(size)
    self._thread = futures.ThreadPoolExecutor(1) if number > 1 else None

  def __call__(self) -> None:
    for group in self.groups:
      if group.pending is not None:
        group.time_step = group.pending.result()
      step = self.policy.action(group.time_step, group.state)
      group.state = step.state
      if self._thread is None:
        group.time_step = group.step(step.action)
      else:
        group.pending = self._thread.submit(group.step, step.action)


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """One step of `case['batch']` environments of `case['task']`.

  With `groups` these are so many equal groups of them, which take turns.
  """
  return _Acting(case)


def measure(case: Dict[str, Any]) -> Dict[str, Any]:
  """The environments' share of the time of `case['steps']` steps."""
  acting = _Acting(case)
  acting()
  [group] = acting.groups
  group.seconds = 0.
  begun = time.perf_counter()
  for _ in range(case['steps']):
    acting()
  seconds = time.perf_counter() - begun
  return {'seconds': seconds, 'environment_seconds': group.seconds}


if __name__ == '__main__':
  serving.serve(prepare, ('tensorflow', 'tf-agents', 'ale-py', 'numpy'),
                measure)
