"""The README's examples run as they stand, and its files exist."""

import os
import re
import subprocess
import sys
import unittest

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
with open(os.path.join(_ROOT, 'README.md'), encoding='utf-8') as _file:
  _README = _file.read()
_BLOCKS = re.findall(r'```python\n(.*?)```', _README, re.DOTALL)


class ReadmeTest(unittest.TestCase):

  def _run(self, code):
    result = subprocess.run(
        [sys.executable, '-c', code], cwd=_ROOT, capture_output=True,
        text=True, timeout=300, check=False,
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'})
    self.assertEqual(result.returncode, 0, result.stderr[-3000:])
    return result.stdout

  def test_library_example_searches_breakout(self):
    output = self._run(_BLOCKS[0])
    counts = [int(n) for n in re.findall(r': (\d+)', output)]
    self.assertEqual(len(counts), 4)  # Breakout's legal actions
    self.assertEqual(sum(counts), 16)

  def test_library_example_is_about_ten_lines(self):
    lines = [line for line in _BLOCKS[0].split('\n') if line.strip()]
    self.assertLessEqual(len(lines), 14)

  def test_own_gymnasium_task(self):
    self.assertIn('[ True  True  True] 2', self._run(_BLOCKS[1]))

  def test_files_that_are_named_exist(self):
    paths = re.findall(r'gin_file=([\w/.]+\.gin)', _README)
    self.assertTrue(paths)
    for path in paths:
      self.assertTrue(os.path.exists(os.path.join(_ROOT, 'gin', path)), path)
    for path in re.findall(r'\]\(([\w./]+)\)', _README):
      self.assertTrue(os.path.exists(os.path.join(_ROOT, path)), path)

  def test_make_targets_that_are_named_exist(self):
    with open(os.path.join(_ROOT, 'Makefile'), encoding='utf-8') as file:
      makefile = file.read()
    for target in re.findall(r'`make (\w+)`', _README):
      self.assertRegex(makefile, rf'(?m)^{target}:')


if __name__ == '__main__':
  unittest.main()
