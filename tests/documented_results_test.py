"""Scores in the documentation are those of the raw results beside it."""

import collections
import json
import pathlib
import re

from absl.testing import absltest
import numpy as np

from xtra_tf.evaluation.experiment_results import ExperimentResults

_DOCS = pathlib.Path(__file__).resolve().parent.parent / 'docs'


def _numbers(cell):
  """Numbers of a cell, thousands separated by commas or not."""
  return [float(text.replace(',', ''))
          for text in re.findall(r'\d[\d,]*(?:\.\d+)?', cell)]


def _table(text, *header):
  """Rows of the one table with this header, as lists of cells."""
  head = '| ' + ' | '.join(header) + ' |\n'
  (at,) = [m.end() for m in re.finditer(re.escape(head), text)]
  rows = []
  for line in text[at:].split('\n')[1:]:
    if not line.startswith('|'):
      return rows
    rows.append([cell.strip() for cell in line.strip('|').split('|')])
  return rows


def _lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


class CentipedeTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.text = (_DOCS / 'mini_centipede.md').read_text(encoding='utf-8')
    results = ExperimentResults(str(_DOCS / 'mini_centipede'))
    cls.record = results.record()
    cls.final = {(r.method, r.seed): np.mean(r.result.returns)
                 for r in results.results() if r.final}
    cls.curves = collections.defaultdict(list)
    for r in sorted(results.results(), key=lambda r: r.result.step):
      found = r.result
      if (not r.final and found.task == r.target
          and found.stage in ('scratch', 'finetune')):
        cls.curves[r.method, r.seed].append(
            (found.step, np.mean(found.returns)))
    cls.names = {m.label: m.name for m in cls.record.methods}

  def test_every_method_of_every_seed_was_run(self):
    self.assertEqual(set(self.final), {
        (method.name, seed) for method in self.record.methods
        for seed in self.record.seeds})

  def test_final_scores(self):
    rows = _table(self.text, 'method', 'seed 0', 'seed 1', 'seed 2',
                  'mean (95 % over seeds)')
    self.assertEqual({row[0] for row in rows}, set(self.names))
    for label, *cells, mean in rows:
      scores = [self.final[self.names[label], seed] for seed in range(3)]
      for score, cell in zip(scores, cells):
        self.assertAlmostEqual(_numbers(cell)[0], score, delta=0.51)
      self.assertAlmostEqual(_numbers(mean)[0], np.mean(scores), delta=0.51)

  def test_scores_while_training(self):
    rows = _table(self.text, 'method', 'seed', '300 updates', '600', '900',
                  '1200')
    self.assertLen(rows, len(self.curves))
    for label, seed, *cells in rows:
      curve = self.curves[self.names[label], int(seed)]
      self.assertEqual([step for step, _ in curve], [300, 600, 900, 1200])
      for cell, (_, score) in zip(cells, curve):
        self.assertAlmostEqual(_numbers(cell)[0], score, delta=0.51)

  def test_random_play(self):
    (said,) = re.findall(r'Random play by the same protocol(.*?)\n\n',
                         self.text, re.DOTALL)
    for record in _lines(_DOCS / 'mini_centipede' / 'random.jsonl'):
      if record['task'] in ('Centipede', 'Centipede-m86-d0', 'Assault'):
        self.assertIn(f'{np.mean(record["returns"]):.0f}', said)

  def test_actions_repeated(self):
    rows = _table(self.text, 'action repeated', 'Centipede', 'its mode 86')
    said = {row[0]: row[1:] for row in rows}
    for record in _lines(_DOCS / 'mini_centipede' / 'single_actions.jsonl'):
      action = record['run'].split()[-1]
      cell = said[action]['Centipede-m86-d0' == record['task']]
      self.assertAlmostEqual(
          _numbers(cell)[0], np.mean(record['returns']), delta=0.51)

  def test_krull(self):
    rows = _table(self.text, 'seed', '300 updates', '600', '900', '1200',
                  '1500', '1800, 32 games')
    said = {(int(row[0]), 300 * place): cell for row in rows
            for place, cell in enumerate(row) if place}
    found = {(record['seed'], record['step']): np.mean(record['returns'])
             for record in _lines(
                 _DOCS / 'mini_centipede' / 'krull_1800.jsonl')}
    self.assertEqual(set(said), set(found))
    for key, score in found.items():
      self.assertAlmostEqual(_numbers(said[key])[0], score, delta=0.51)


class LearningCheckTest(absltest.TestCase):

  def test_scores(self):
    text = (_DOCS / 'learning_check.md').read_text(encoding='utf-8')
    results = ExperimentResults(str(_DOCS / 'learning_check'))
    found = {(r.result.step, r.seed): np.mean(r.result.returns)
             for r in results.results()}
    rows = _table(text, 'updates', 'agent steps', 'seed 0', 'seed 1', 'seed 2')
    self.assertEqual({int(_numbers(row[0])[0]) for row in rows},
                     {step for step, _ in found})
    for row in rows:
      for seed, cell in enumerate(row[2:]):
        score = found[int(_numbers(row[0])[0]), seed]
        self.assertAlmostEqual(_numbers(cell)[0], score, delta=0.51)


if __name__ == '__main__':
  absltest.main()
