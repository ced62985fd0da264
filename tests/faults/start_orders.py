r"""Starts the roles of a stage in every order, and looks whether it is trained.

  python -m tests.faults.start_orders

Server, learner, collectors and an evaluator that follows them: 24 orders, each
a line of JSON with the seconds between the roles, those to the first save and
to its evaluation, and which roles waited without a word. The exit code is 1 if
an order did not lead to training, or a role was silent for too long.
"""

import argparse
import itertools
import json
import os
import random
import sys
import tempfile
import time
from typing import Any, Dict, List, Sequence

import portpicker

from tests.faults.role_job import COLLECTORS, RoleJob

ROLES = ('server', 'learner', 'collector', 'evaluator')
# Of a role that needs another one, before its first word: ten to wait, the rest
# to import TensorFlow and to build its model on a machine with other work.
_SILENCE_SECONDS = 60.
_LIMIT_SECONDS = 600.


def processes(role: str) -> List[str]:
  """The processes of a role."""
  if role != 'collector':
    return [role]
  return [f'collector-{number}' for number in range(COLLECTORS)]


def try_order(folder: str, order: Sequence[str], delays: Sequence[float]
              ) -> Dict[str, Any]:
  """Starts the roles in an order.

  Args:
    folder: of the job; empty.
    order: of `ROLES`.
    delays: seconds before each role but the first.

  Returns:
    Facts, for a line of JSON; `broken` lists what should not have been.
  """
  job = RoleJob(folder, portpicker.pick_unused_port())
  started: Dict[str, float] = {}
  broken: List[str] = []
  begun = time.monotonic()
  found: Dict[str, Any] = {'order': list(order), 'delays': list(delays)}
  try:
    for role, delay in zip(order, (0., *delays), strict=True):
      # The delays are what is tried here.
      time.sleep(delay)
      for name in processes(role):
        job.start(name)
      started[role] = time.monotonic() - begun
    job.wait_for_updates(1, _LIMIT_SECONDS)
    found['first_save'] = round(time.monotonic() - begun, 1)
    job.wait_for_results(1, _LIMIT_SECONDS)
    found['first_evaluation'] = round(time.monotonic() - begun, 1)
  except AssertionError as error:
    broken.append(str(error))
  finally:
    job.stop()
  needs = {'learner': started.get('server', 0.),
           'collector': max(started.get('server', 0.),
                            started.get('learner', 0.)),
           'evaluator': found.get('first_save', 0.)}
  for role, when in needs.items():
    for name in processes(role):
      text = job.output(name) if role in started else ''
      waited = when - started.get(role, when)
      if 'Waiting for' not in text and waited > _SILENCE_SECONDS:
        broken.append(f'{name} waited {waited:.0f} s without a word')
      if 'Traceback' in text:
        broken.append(f'{name}: {text[-1000:]}')
  return {**found, 'broken': broken}


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--orders', type=int, default=24,
                      help='how many, drawn at random; 24: all')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--longest', type=float, default=30.,
                      help='seconds between two roles at most')
  parser.add_argument(
      '--output', default='docs/reliability/start_orders.jsonl',
      help='JSON lines are added here')
  options = parser.parse_args()
  if options.output:
    os.makedirs(os.path.dirname(options.output) or '.', exist_ok=True)
  draws, failures = random.Random(options.seed), 0
  orders = list(itertools.permutations(ROLES))
  draws.shuffle(orders)
  for order in orders[:options.orders]:
    delays = [round(draws.uniform(0., options.longest), 1) for _ in order[1:]]
    with tempfile.TemporaryDirectory() as folder:
      found = try_order(folder, order, delays)
    line = json.dumps({'victim': 'start order', 'seed': options.seed, **found})
    sys.stdout.write(f'{line}\n')
    sys.stdout.flush()
    if options.output:
      with open(options.output, 'a', encoding='utf-8') as file:
        file.write(f'{line}\n')
    failures += bool(found['broken'])
  sys.stdout.write(f'{len(orders[:options.orders])} orders, {failures} with a '
                   'broken promise\n')
  return 1 if failures else 0


if __name__ == '__main__':
  sys.exit(main())
