"""Rules that a single file can break: its length, its names, what it calls."""

import ast
import configparser
import io
import pathlib
import re
import tokenize
from typing import List, Set

from absl.testing import absltest, parameterized

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_CODE = ('xtra_tf', 'launchers')
_MAX_FILE_LINES = 400
_MAX_FUNCTION_LINES = 60
_SHAPELESS_NAMES = {'common', 'helper', 'helpers', 'misc', 'util', 'utils'}
# A data file is never trusted, so nothing may run code that is in one.
_UNSAFE_MODULES = {'cloudpickle', 'dill', 'joblib', 'marshal', 'pickle',
                   'shelve', 'torch'}
_UNSAFE_CALLS = {'eval', 'exec', '__import__', 'yaml.load',
                 'yaml.unsafe_load', 'yaml.full_load'}
# Methods that write or run what an archive or a file of any library says.
_UNSAFE_METHODS = {'extract', 'extractall', 'unpack_archive', 'load_module',
                   'recover_environment'}


def function_lines(node: ast.AST, code_lines: Set[int]) -> int:
  """Lines of a function that hold code: no blanks, comments, docstring."""
  lines = {n for n in code_lines if node.lineno <= n <= node.end_lineno}
  if ast.get_docstring(node, clean=False) is not None:
    doc = node.body[0]
    lines -= set(range(doc.lineno, doc.end_lineno + 1))
  return len(lines)


def _code_lines(text: str) -> Set[int]:
  """Line numbers on which there is at least one token that is no comment."""
  empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT,
           tokenize.DEDENT, tokenize.ENDMARKER}
  lines = set()
  for token in tokenize.generate_tokens(io.StringIO(text).readline):
    if token.type not in empty:
      lines.update(range(token.start[0], token.end[0] + 1))
  return lines


def unsafe_uses(path: str, tree: ast.Module) -> List[str]:
  """Imports and calls that could run code out of a file."""
  found = []
  for node in ast.walk(tree):
    modules = []
    if isinstance(node, ast.Import):
      modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      modules = [node.module or '']
    found.extend(f'{path}:{node.lineno} imports {module}' for module in modules
                 if module.split('.')[0] in _UNSAFE_MODULES)
    if isinstance(node, ast.Call):
      if ast.unparse(node.func) in _UNSAFE_CALLS:
        found.append(f'{path}:{node.lineno} calls {ast.unparse(node.func)}')
      elif (isinstance(node.func, ast.Attribute)
            and node.func.attr in _UNSAFE_METHODS):
        found.append(f'{path}:{node.lineno} calls {ast.unparse(node.func)}')
      for keyword in node.keywords:
        if keyword.arg == 'allow_pickle' and not (
            isinstance(keyword.value, ast.Constant)
            and keyword.value.value is False):
          found.append(f'{path}:{node.lineno} passes allow_pickle')
  return found


class CodeShapeTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.texts = {p.relative_to(_ROOT).as_posix(): p.read_text(encoding='utf-8')
                 for folder in _CODE + ('benchmarks', 'tests')
                 for p in sorted((_ROOT / folder).rglob('*.py'))}
    cls.trees = {p: ast.parse(text, p) for p, text in cls.texts.items()}
    cls.shipped = {p: t for p, t in cls.trees.items()
                   if p.split('/')[0] in _CODE}

  def test_files_are_short(self):
    lengths = {path: text.count('\n') for path, text in self.texts.items()}
    self.assertEmpty({path: length for path, length in lengths.items()
                      if length > _MAX_FILE_LINES})

  def test_functions_are_short(self):
    lengths = {}
    for path, tree in self.trees.items():
      code_lines = _code_lines(self.texts[path])
      for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
          lengths[f'{path}:{node.lineno} {node.name}'] = function_lines(
              node, code_lines)
    self.assertEmpty({name: length for name, length in lengths.items()
                      if length > _MAX_FUNCTION_LINES})

  def test_names_say_what_is_inside(self):
    for path in self.shipped:
      words = set(re.split(r'[/_.]', path))
      self.assertFalse(words & _SHAPELESS_NAMES, path)

  def test_nothing_runs_code_from_data(self):
    found = [use for path, tree in self.shipped.items()
             for use in unsafe_uses(path, tree)]
    self.assertFalse(found, '\n'.join(found))

  def test_gin_folder_is_no_package(self):
    # With an __init__.py it would hide gin-config for whoever runs from here.
    self.assertEmpty(list((_ROOT / 'gin').rglob('*.py')))

  @parameterized.parameters('BUILD', 'MODULE.bazel')
  def test_bazel_files_parse(self, name):
    ast.parse((_ROOT / name).read_text(encoding='utf-8'), name)

  def test_setup_cfg_lists_every_package(self):
    config = configparser.ConfigParser()
    config.read(_ROOT / 'setup.cfg')
    listed = set(config['options']['packages'].split())
    folders = {p.rsplit('/', 1)[0].replace('/', '.') for p in self.shipped}
    self.assertEqual(listed - {'xtra_tf.gin_files'}, folders)


class RulesTest(parameterized.TestCase):
  """The rules above find what they are there to find."""

  @parameterized.parameters(
      'import pickle', 'from torch import nn', 'eval("1")', 'exec("x")',
      'yaml.load(f)', 'np.load(f, allow_pickle=True)', 'a.extractall(d)',
      'shutil.unpack_archive(f)', 'tarfile.open(f).extract(m)',
      'np.load(f, allow_pickle=flag)')
  def test_unsafe(self, text):
    self.assertLen(unsafe_uses('', ast.parse(text)), 1)

  @parameterized.parameters(
      'yaml.safe_load(f)', 'model.eval()', 'np.load(f, allow_pickle=False)')
  def test_safe(self, text):
    self.assertEmpty(unsafe_uses('', ast.parse(text)))

  def test_function_lines(self):
    text = 'def f():\n  """Doc\n\n  doc."""\n\n  # Why.\n  x = (1,\n\n  2)\n'
    node = ast.parse(text).body[0]
    self.assertEqual(function_lines(node, _code_lines(text)), 3)


if __name__ == '__main__':
  absltest.main()
