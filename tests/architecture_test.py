"""Holds every import to the table in BUILD.

BUILD is written in Starlark, which parses as Python.
"""

import ast
import configparser
import importlib.metadata
import pathlib
import re
import sys
from typing import (
  Dict,
  FrozenSet,
  Iterator,
  List,
  NamedTuple,
  Optional,
  Set,
  Tuple,
)

from absl.testing import absltest, parameterized

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_CODE = ('xtra_tf', 'launchers')
_PROTOCOLS = ('models.world_model', 'planning.planner')
_REVERB_MAY = {'replay', 'variables', 'experiments'}
_GIN_MAY = {'experiments', 'launchers'}
# TensorFlow takes seconds to import; `--help` and small jobs do without.
_TENSORFLOW_FREE = ('errors', 'tasks', 'runs', 'launchers')
_SLOW_IMPORTS = {'keras', 'reverb', 'tensorflow', 'tensorflow_probability',
                 'tf_agents'}


class Target(NamedTuple):
  """One `py_library` of BUILD.

  Attributes:
    name: e.g. `models.world_model`.
    files: its sources, relative to the checkout, as posix paths.
    deps: names of the targets that it may import.
    wheels: distributions that it may import, e.g. `dm_reverb`.
  """
  name: str
  files: FrozenSet[str]
  deps: Tuple[str, ...]
  wheels: FrozenSet[str]


class Import(NamedTuple):
  """One imported module or name.

  Attributes:
    path: the importing file, relative to the checkout.
    line: line number.
    module: dotted name of the module that is named in the statement.
    name: the name taken out of it (`from module import name`), if any.
    at_module_level: whether it runs when the file is imported.
  """
  path: str
  line: int
  module: str
  name: Optional[str]
  at_module_level: bool

  def __str__(self) -> str:
    what = f'{self.module}.{self.name}' if self.name else self.module
    return f'{self.path}:{self.line} imports {what}'


def _glob(patterns: List[str]) -> Set[str]:
  return {p.relative_to(_ROOT).as_posix()
          for pattern in patterns for p in _ROOT.glob(pattern) if p.is_file()}


def _sources(node: ast.expr) -> FrozenSet[str]:
  """Evaluates a list of files or glob([...], exclude = [...])."""
  if isinstance(node, ast.Call):
    if ast.unparse(node.func) != 'glob':
      raise ValueError(f'BUILD:{node.lineno}: only glob() is understood.')
    exclude = [k.value for k in node.keywords if k.arg == 'exclude']
    kept = _glob(ast.literal_eval(node.args[0]))
    for value in exclude:
      kept -= _glob(ast.literal_eval(value))
    return frozenset(kept)
  return frozenset(ast.literal_eval(node))


def read_targets(text: str) -> Dict[str, Target]:
  """The py_library targets of a BUILD file, in the order of the file."""
  targets = {}
  for statement in ast.parse(text).body:
    call = getattr(statement, 'value', None)
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != 'py_library':
      continue
    fields = {k.arg: k.value for k in call.keywords}
    name = ast.literal_eval(fields['name'])
    deps = ast.literal_eval(fields['deps']) if 'deps' in fields else []
    if name in targets:
      raise ValueError(f'BUILD declares :{name} twice.')
    targets[name] = Target(
        name, _sources(fields['srcs']),
        tuple(d[1:] for d in deps if d.startswith(':')),
        frozenset(d[len('@pip//'):] for d in deps if d.startswith('@pip//')))
  return targets


def read_imports(path: str, tree: ast.Module) -> Iterator[Import]:
  """All imports of a file, those inside functions included."""
  inside_functions = {
      id(inner) for node in ast.walk(tree)
      if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
      for inner in ast.walk(node)}
  for node in ast.walk(tree):
    top = id(node) not in inside_functions
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield Import(path, node.lineno, alias.name, None, top)
    elif isinstance(node, ast.ImportFrom):
      module = '.' * node.level + (node.module or '')
      for alias in node.names:
        yield Import(path, node.lineno, module, alias.name, top)


def _module_file(module: str) -> Optional[str]:
  """The file of a module of the checkout, or None."""
  base = _ROOT.joinpath(*module.split('.'))
  for candidate in (base.with_name(base.name + '.py'), base / '__init__.py'):
    if candidate.is_file():
      return candidate.relative_to(_ROOT).as_posix()
  return None


def _imported_file(imported: Import) -> Optional[str]:
  """The file that an import reads, the submodule before the package."""
  if imported.name:
    submodule = _module_file(f'{imported.module}.{imported.name}')
    if submodule:
      return submodule
  return _module_file(imported.module)


class ArchitectureTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.targets = read_targets((_ROOT / 'BUILD').read_text(encoding='utf-8'))
    cls.imports = {
        path: list(read_imports(path, ast.parse((_ROOT / path).read_text())))
        for path in sorted(_glob([f'{f}/**/*.py' for f in _CODE]))}
    cls.owners = {path: target.name for target in cls.targets.values()
                  for path in target.files}
    cls.all_imports = [i for imports in cls.imports.values()
                       for i in imports]

  def assert_none(self, found: List[str], rule: str):
    if found:
      self.fail('\n  '.join([rule, *sorted(set(found))]))

  def test_every_file_has_exactly_one_target(self):
    owners: Dict[str, List[str]] = {p: [] for p in self.imports}
    for target in self.targets.values():
      for path in target.files:
        owners.setdefault(path, []).append(target.name)
    self.assert_none(
        [f'{path}: {names or "none"}' for path, names in owners.items()
         if len(names) != 1], 'Each file belongs to one target of BUILD.')
    self.assert_none([p for p in owners if not (_ROOT / p).is_file()],
                     'BUILD names files that do not exist.')

  def test_one_target_per_package_and_protocol(self):
    packages = {p.parent.name if p.name == '__init__.py' else p.stem
                for p in (_ROOT / 'xtra_tf').glob('*.py')}
    packages |= {p.parent.name for p in _ROOT.glob('xtra_tf/*/__init__.py')}
    self.assertEqual(set(self.targets),
                     packages | set(_PROTOCOLS) | {'launchers'})

  def test_arrows_point_up_the_build_file_only(self):
    above: Set[str] = set()
    for target in self.targets.values():
      self.assertContainsSubset(target.deps, above, f'deps of :{target.name}')
      above.add(target.name)

  def test_everyone_may_use_errors(self):
    for target in self.targets.values():
      if target.name not in ('errors', 'xtra_tf'):
        self.assertIn('errors', target.deps, target.name)

  def test_imports_within_the_project(self):
    found = []
    for imported in self.all_imports:
      if imported.module.split('.')[0] not in _CODE:
        continue
      path = _imported_file(imported)
      if path is None:
        found.append(f'{imported}, which does not exist')
        continue
      user, used = self.owners[imported.path], self.owners[path]
      if used != user and used not in self.targets[user].deps:
        found.append(f'{imported}, but :{user} may use only '
                     f'{", ".join(self.targets[user].deps) or "nothing"}')
    self.assert_none(found, 'An import that the table in BUILD does not have:')

  def test_imports_are_absolute(self):
    self.assert_none([str(i) for i in self.all_imports
                      if i.module.startswith('.')],
                     'Imports are written in full.')

  def test_imports_of_other_peoples_packages(self):
    known = importlib.metadata.packages_distributions()
    found = []
    for imported in self.all_imports:
      top = imported.module.split('.')[0]
      if top in sys.stdlib_module_names or top in _CODE or not top:
        continue
      target = self.targets[self.owners[imported.path]]
      wheels = {d.lower().replace('-', '_') for d in known.get(top, [])}
      if not wheels & target.wheels:
        found.append(f'{imported}, but BUILD has no such @pip// in '
                     f'{target.name} (wheel: {sorted(wheels) or "unknown"})')
    self.assert_none(found, 'Imports of wheels that BUILD does not name:')

  def test_wheels_of_build_are_requirements(self):
    config = configparser.ConfigParser()
    config.read(_ROOT / 'setup.cfg')
    lines = config['options']['install_requires']
    for extra in config['options.extras_require'].values():
      lines += '\n' + extra
    required = {re.split(r'[<>=!;\[ ]', line)[0].lower().replace('-', '_')
                for line in lines.split('\n') if line.strip()}
    for target in self.targets.values():
      self.assertContainsSubset(target.wheels, required,
                                f'wheels of :{target.name} and setup.cfg')

  @parameterized.parameters(('reverb', _REVERB_MAY), ('gin', _GIN_MAY))
  def test_one_place_for(self, module, targets):
    self.assert_none(
        [str(i) for i in self.all_imports if i.module.split('.')[0] == module
         and self.owners[i.path] not in targets],
        f'{module} is imported only in {sorted(targets)}.')

  def test_testing_is_for_tests(self):
    for target in self.targets.values():
      self.assertNotIn('testing', target.deps, target.name)

  @parameterized.parameters(*_TENSORFLOW_FREE)
  def test_imports_without_tensorflow(self, name):
    """Follows module-level imports through the whole project."""
    queue = [(path, (path,)) for path in self.targets[name].files]
    seen, found = set(), []
    while queue:
      path, route = queue.pop()
      if path in seen:
        continue
      seen.add(path)
      for imported in self.imports[path]:
        if not imported.at_module_level:
          continue
        if imported.module.split('.')[0] in _SLOW_IMPORTS:
          found.append(f'{" -> ".join(route)} -> {imported.module}')
        following = _imported_file(imported)
        parents = imported.module.split('.')
        packages = [_module_file('.'.join(parents[:n + 1]))
                    for n in range(len(parents))]
        for file in [following, *packages]:
          if file is not None:
            queue.append((file, route + (file,)))
    self.assert_none(found, f':{name} imports TensorFlow at module level.')


class CheckerTest(parameterized.TestCase):
  """The rules above find what they are there to find."""

  def test_targets(self):
    targets = read_targets(
        'py_library(name = "a", srcs = ["xtra_tf/errors.py"])\n'
        'py_library(name = "b", srcs = glob(["tests/a*_test.py"], '
        'exclude = ["tests/b*"]), deps = [":a", "@pip//numpy"])\n')
    self.assertEqual(targets['a'].files, {'xtra_tf/errors.py'})
    self.assertEqual(targets['b'].deps, ('a',))
    self.assertEqual(targets['b'].wheels, {'numpy'})
    self.assertIn('tests/architecture_test.py', targets['b'].files)

  def test_imports(self):
    tree = ast.parse('import a.b\nfrom c import d\ndef f():\n  import e\n')
    self.assertEqual(
        [(i.module, i.name, i.at_module_level) for i in read_imports('', tree)],
        [('a.b', None, True), ('c', 'd', True), ('e', None, False)])


if __name__ == '__main__':
  absltest.main()
