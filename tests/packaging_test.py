"""What `pip install .` ships, and that the locked versions are the installed.

The wheel is built from a copy, so that no build/ appears in the checkout.
"""

import configparser
import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

from absl.testing import absltest

import xtra_tf

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_INPUTS = ('setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE', 'gin',
           'launchers', 'xtra_tf')


def _copy_inputs(folder: pathlib.Path) -> None:
  for name in _INPUTS:
    source = _ROOT / name
    if source.is_dir():
      shutil.copytree(source, folder / name,
                      ignore=shutil.ignore_patterns('__pycache__'))
    else:
      shutil.copy(source, folder / name)


class WheelTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    _copy_inputs(folder)
    build = subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps',
         '--no-index', '--no-build-isolation', '--wheel-dir', 'wheels', '.'],
        cwd=folder, capture_output=True, text=True, check=False)
    if build.returncode:
      raise AssertionError(f'pip wheel failed:\n{build.stdout}{build.stderr}')
    (wheel,) = (folder / 'wheels').glob('xtra_tf-*.whl')
    with zipfile.ZipFile(wheel) as archive:
      cls.names = set(archive.namelist())
      (metadata,) = (n for n in cls.names if n.endswith('/METADATA'))
      cls.metadata = archive.read(metadata).decode('utf-8')

  def test_all_modules(self):
    modules = {p.relative_to(_ROOT).as_posix()
               for folder in ('xtra_tf', 'launchers')
               for p in (_ROOT / folder).rglob('*.py')}
    self.assertEqual({n for n in self.names if n.endswith('.py')}, modules)

  def test_gin_files_under_their_package(self):
    files = {p.relative_to(_ROOT / 'gin').as_posix()
             for p in (_ROOT / 'gin').rglob('*.gin')}
    self.assertNotEmpty(files)
    self.assertEqual(
        {n for n in self.names if n.endswith('.gin')},
        {f'xtra_tf/gin_files/{name}' for name in files})

  def test_data_of_packages(self):
    data = {p.relative_to(_ROOT).as_posix()
            for p in (_ROOT / 'xtra_tf').rglob('*')
            if p.is_file() and p.suffix not in ('.py', '.pyc')}
    self.assertContainsSubset({'xtra_tf/py.typed'}, data)
    self.assertContainsSubset(data, self.names)

  def test_nothing_else(self):
    tops = {n.split('/')[0] for n in self.names}
    self.assertLen(tops, 3)
    self.assertContainsSubset({'xtra_tf', 'launchers'}, tops)

  def test_one_version(self):
    self.assertIn(f'\nVersion: {xtra_tf.__version__}\n', self.metadata)
    self.assertIn(f'\n    version = "{xtra_tf.__version__}",\n)',
                  (_ROOT / 'MODULE.bazel').read_text(encoding='utf-8'))

  def test_python_version_and_extras(self):
    self.assertIn('Requires-Python: <3.12,>=3.11', self.metadata)
    for extra in ('atari', 'data', 'report', 'dev'):
      self.assertIn(f'Provides-Extra: {extra}\n', self.metadata)


class LockTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.locked = dict(re.findall(
        r'^([A-Za-z0-9._-]+)==(\S+)',
        (_ROOT / 'requirements.lock').read_text(encoding='utf-8'), re.M))

  def test_this_environment_is_the_locked_one(self):
    installed = {name: importlib.metadata.version(name) for name in self.locked}
    self.assertEqual(installed, self.locked)

  def test_every_requirement_is_locked_as_setup_cfg_says(self):
    config = configparser.ConfigParser()
    config.read(_ROOT / 'setup.cfg')
    extras = config['options.extras_require']
    wanted = '\n'.join([config['options']['install_requires'],
                        *(extras[e]
                          for e in ('atari', 'data', 'report', 'dev'))])
    for line in filter(None, map(str.strip, wanted.split('\n'))):
      name = re.split(r'[<>=!;\[ ]', line)[0]
      self.assertIn(name, self.locked)
      if '==' in line:
        self.assertEqual(line, f'{name}=={self.locked[name]}')

  def test_every_wheel_has_a_hash(self):
    text = (_ROOT / 'requirements.lock').read_text(encoding='utf-8')
    for block in re.split(r'\n(?=[A-Za-z0-9])', text)[1:]:
      self.assertIn('--hash=sha256:', block, block.split('\n')[0])

  def test_lock_names_no_index(self):
    text = (_ROOT / 'requirements.lock').read_text(encoding='utf-8')
    self.assertNotRegex(text, r'(?m)^--(extra-)?index-url|find-links|file://')


if __name__ == '__main__':
  absltest.main()
