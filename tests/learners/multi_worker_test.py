"""Two learners on the loopback give the gradient steps of one device."""

import json
import os
import subprocess
import sys

import numpy as np
import portpicker
import pytest
import tensorflow as tf

from tests.learners import multi_worker_cases, replica_steps

_LAST_CHARACTERS = 4000
_SECONDS = 500


class MultiWorkerTest(tf.test.TestCase):

  def _start(self, folder, names):
    ports = [portpicker.pick_unused_port() for _ in replica_steps.ROWS]
    cluster = {'worker': [f'localhost:{port}' for port in ports]}
    return [subprocess.Popen(
        [sys.executable, '-m', 'tests.learners.multi_worker_cases', folder,
         *names], encoding='utf-8', stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, env={**os.environ, 'TF_CONFIG': json.dumps({
            'cluster': cluster, 'task': {'type': 'worker', 'index': index}})})
            for index in range(len(ports))]

  def _assert_same_steps(self, *names):
    folder = self.create_tempdir().full_path
    learners = self._start(folder, names)
    try:
      expected = {name: self._on_one(name) for name in names}
      errors = [learner.communicate(timeout=_SECONDS)[1]
                for learner in learners]
    finally:
      for learner in learners:
        learner.kill()
        learner.wait()
    for learner in learners:
      self.assertEqual(learner.returncode, 0, '\n'.join(
          text[-_LAST_CHARACTERS:] for text in errors))
    for name in names:
      for index, rows in enumerate(self._places(name)):
        with np.load(os.path.join(folder, f'{name}_{index}.npz')) as found:
          self._assert_same(expected[name], dict(found), rows, name)
    return expected

  def _on_one(self, name):
    build, passes, augmented = multi_worker_cases.CASES[name]
    infos, state = replica_steps.on_one(
        build, multi_worker_cases.settings_of(augmented), passes,
        in_order=passes == 'by_task')
    numbers = {f'state/{key}': value for key, value in state.items()}
    for step, info in enumerate(infos):
      numbers.update((f'{step}/{key}', value)
                     for key, value in replica_steps.named(info))
    return numbers

  def _places(self, name):
    """Of each learner's rows, the places in the batch of the one device."""
    rows = replica_steps.ROWS
    if multi_worker_cases.CASES[name][1] == 'by_task':
      return rows
    return np.split(np.arange(sum(map(len, rows))), len(rows))

  def _assert_same(self, expected, found, rows, name):
    self.assertEqual(list(found), list(expected))
    for key, value in expected.items():
      if value.shape[:1] == (sum(replica_steps.QUOTAS),) and (
          not key.startswith('state/')):
        value = value[list(rows)]
      self.assertAllClose(found[key], value, rtol=1e-4, atol=1e-5,
                          msg=f'{key} of {name}')

  def test_two_learners_and_one_device(self):
    expected = self._assert_same_steps('joint', 'by_task')
    weights, = (value for key, value in expected['joint'].items()
                if key.startswith('state/weights'))
    self.assertNotAllClose(weights, [1., 1.])

  @pytest.mark.slow
  def test_efficientzero(self):
    self._assert_same_steps('efficientzero')


if __name__ == '__main__':
  tf.test.main()
