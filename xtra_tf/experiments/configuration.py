"""Gin: the names that can be bound, where files are looked for, what was bound.

A gin file is a program: with an `import` line it runs any module, with `@` it
calls what is registered, by other libraries too. None of ours has either, and
neither is accepted. What is left can still ask for days of work, so that files
of other places than one's own are read only if they are trusted.
"""

import ast
import dataclasses
import importlib.resources
import os
import re
import tokenize
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

import gin

from xtra_tf.errors import DataFileError, UsageError, near_names
from xtra_tf.evaluation.protocol import (
  EvaluationSettings as _EvaluationSettings,
)
from xtra_tf.evaluation.protocol import (
  SourceEvaluationSettings as _SourceEvaluationSettings,
)
from xtra_tf.experiments import execution as _execution
from xtra_tf.experiments import experiment_settings as _experiment
from xtra_tf.experiments import settings as _settings
from xtra_tf.experiments import transfer_settings as _transfer
from xtra_tf.learners import LearnerSettings as _LearnerSettings
from xtra_tf.learners import TaskWeightSettings as _TaskWeightSettings
from xtra_tf.models import EfficientZeroConfig as _EfficientZeroConfig
from xtra_tf.planning import MctsPlanner as _MctsPlanner
from xtra_tf.targets import TargetSettings as _TargetSettings

MACROS = ('TARGET_TASK', 'SOURCE_TASKS', 'ENV_STEPS', 'NUM_SIMULATIONS',
          'BATCH_SIZE')


def _register(cls: Any, package: str) -> Any:
  return gin.external_configurable(cls, module=f'xtra_tf.{package}')


ProfileSettings = _register(_settings.ProfileSettings, 'experiments')
TaskSettings = _register(_settings.TaskSettings, 'experiments')
TransferSettings = _register(_transfer.TransferSettings, 'experiments')
ReplaySettings = _register(_settings.ReplaySettings, 'experiments')
StageSettings = _register(_settings.StageSettings, 'experiments')
TeacherPassSettings = _register(_settings.TeacherPassSettings, 'experiments')
ExecutionSettings = _register(_execution.ExecutionSettings, 'experiments')
EfficientZeroConfig = _register(_EfficientZeroConfig, 'models')
MctsPlanner = _register(_MctsPlanner, 'planning')
TargetSettings = _register(_TargetSettings, 'targets')
LearnerSettings = _register(_LearnerSettings, 'learners')
TaskWeightSettings = _register(_TaskWeightSettings, 'learners')
EvaluationSettings = _register(_EvaluationSettings, 'evaluation')
SourceEvaluationSettings = _register(_SourceEvaluationSettings, 'evaluation')
ExperimentSettings = _register(_experiment.ExperimentSettings, 'experiments')
MethodSettings = _register(_experiment.MethodSettings, 'experiments')

CONFIGURABLES = (ProfileSettings, TaskSettings, TransferSettings,
                 ReplaySettings, StageSettings, TeacherPassSettings,
                 ExecutionSettings, EfficientZeroConfig, MctsPlanner,
                 TargetSettings, LearnerSettings, TaskWeightSettings,
                 EvaluationSettings, SourceEvaluationSettings,
                 ExperimentSettings, MethodSettings)
_TRUST_FLAG = '--trust_gin'
# They say which runs there are, and decide nothing within a run.
_OF_NO_RUN = ('ExperimentSettings.', 'MethodSettings.')
_IMPORT = re.compile(r'^\s*(import|from)\s+\S', re.MULTILINE)
_INCLUDE = re.compile(r'^\s*include\s+[\'"]([^\'"]+)[\'"]', re.MULTILINE)


def gin_folders() -> List[str]:
  """Where gin files are looked for: here, in the checkout, in the package."""
  folders = [os.getcwd()]
  package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  checkout = os.path.join(os.path.dirname(package), 'gin')
  if os.path.isdir(os.path.join(checkout, 'protocols')):
    folders.append(checkout)
  try:
    installed = importlib.resources.files('xtra_tf.gin_files')
    folders.append(str(installed))
  except ModuleNotFoundError:
    pass  # a checkout that is not installed
  return folders


def known_gin_files() -> List[str]:
  """The gin files of checkout and package, e.g. `protocols/demo.gin`."""
  known: Set[str] = set()
  for folder in gin_folders()[1:]:
    for parent, _, files in os.walk(folder):
      known.update(os.path.relpath(os.path.join(parent, f), folder)
                   for f in files if f.endswith('.gin'))
  return sorted(known)


class _Trust:
  """Whether gin files of any place are read; a process decides it once."""
  everywhere = False


def trust_gin_files() -> None:
  """From now on gin files of other places than one's own are read too."""
  _Trust.everywhere = True


def trust_flags() -> List[str]:
  """Flags by which a child process trusts what this one does."""
  return [_TRUST_FLAG] if _Trust.everywhere else []


def find_gin_file(name: str) -> str:
  """Path of a gin file, named with or without the leading `gin/`.

  Raises:
    UsageError: there is no such file, names near ones; or it is neither below
      the working directory nor of the checkout or package, and not trusted.
  """
  bare = name[len('gin/'):] if name.startswith('gin/') else name
  for folder in gin_folders():
    for candidate in (name, bare):
      path = os.path.join(folder, candidate)
      if os.path.isfile(path):
        _refuse_foreign(path)
        return path
  raise UsageError(f'There is no gin file {name}. '
                   f'{near_names(bare, known_gin_files())} '
                   f'Looked in: {", ".join(gin_folders())}.')


def _refuse_foreign(path: str) -> None:
  """Files are judged by where they really are, not by a link to them."""
  real = os.path.realpath(path)
  own = [os.path.realpath(folder) for folder in gin_folders()]
  if not _Trust.everywhere and not any(
      os.path.commonpath([real, folder]) == folder for folder in own):
    raise UsageError(
        f'The gin file {real} is not one of yours: it is in none of '
        f'{", ".join(own)}. A gin file decides what is run, for how long and '
        f'with which data. Read it, then pass {_TRUST_FLAG}, or copy it here.')


def _refuse_calls() -> None:
  """Of what was parsed, so that a comment or a text may have an @."""
  for name, value in bound_values().items():
    if '@' in re.sub(r"'[^']*'|\"[^\"]*\"", '', value):
      raise UsageError(
          f'Gin: {name} = {value} refers to a configurable. A gin file that '
          'does can call code of other libraries, so none is accepted. '
          'Expected a number, a text, a list or a macro.')


def _refuse_imports(text: str, where: str) -> None:
  found = _IMPORT.search(text)
  if found:
    raise UsageError(
        f'{where} has the line `{found.group(0).strip()}`. A gin file that '
        'imports can run any code, so none is accepted. Expected bindings and '
        'includes only: everything of xtra_tf can be bound without imports.')


def _check_file(path: str, seen: Optional[set] = None) -> None:
  """Looks through a file and all that it includes before gin reads them."""
  seen = set() if seen is None else seen
  if path in seen:
    return
  seen.add(path)
  with open(path, encoding='utf-8') as file:
    text = file.read()
  _refuse_imports(text, path)
  for included in _INCLUDE.findall(text):
    _check_file(find_gin_file(included), seen)


def _unknown_name(error: Exception) -> UsageError:
  """Turns gin's error into one sentence with near names."""
  text = str(error).strip().split('\n')[0]
  if isinstance(error, SyntaxError):
    # Of a value that is no literal gin shows Python's node first.
    shown = re.sub(r'^malformed node.*?<.*?>', '', ' '.join(str(error).split()))
    return UsageError(f'Gin: {shown.strip()}. Expected `NAME = value`, a text '
                      'in quotes.')
  # A configurable, or a configurable and its parameter.
  quoted = [name.split('.')[-1] for name in re.findall(r"'([\w./]+)'", text)]
  hint = near_names('.'.join(quoted), _bindable()) if quoted else ''
  return UsageError(f'Gin: {text} {hint}'.strip())


def _bindable() -> List[str]:
  """All names that can be bound, without packages and scopes."""
  return [f'{c.__name__}.{f.name}' for c in CONFIGURABLES
          for f in _parameters(c)] + list(MACROS)


def _check_names() -> None:
  """Refuses macros and scopes that nothing reads; gin takes any."""
  for name in bound_values():
    *scopes, bare = name.split('/')
    if '.' not in bare and (scopes or bare not in MACROS):
      raise UsageError(f'Gin: {name} is no setting of xtra_tf. '
                       f'{near_names(bare, _bindable())}')
    for scope in scopes:
      if scope not in _settings.MAIN_STAGES:
        read = _settings.SCOPE_OF.get(scope)
        hint = (f'This stage reads the scope {read}.' if read else
                near_names(scope, _settings.MAIN_STAGES))
        raise UsageError(f'Gin: {name} is of the scope {scope}, which there is '
                         f'not. {hint}')


def _parameters(configurable: Any) -> Sequence[Any]:
  return (dataclasses.fields(configurable)
          if dataclasses.is_dataclass(configurable) else ())


def recorded_bindings(settings: Mapping[str, str], classes: Sequence[str],
                      where: str) -> List[str]:
  """Bindings out of a run's record, which anybody may have written.

  Args:
    settings: {name: value as text}, as `run_settings` gave them.
    classes: whose settings are taken, e.g. `MctsPlanner`; the macros are, too.
    where: the record's file, for the message.

  Returns:
    Texts for `parse`.

  Raises:
    DataFileError: a value is neither a literal nor a macro.
  """
  found = []
  for name, value in settings.items():
    if name not in MACROS and name.split('.')[-2:-1] not in (
        [cls] for cls in classes):
      continue
    if value not in [f'%{macro}' for macro in MACROS]:
      try:
        ast.literal_eval(value)
      except (ValueError, SyntaxError, TypeError, MemoryError,
              RecursionError) as error:
        raise DataFileError(
            where, f'the setting {name} has the value {value!r}. Expected a '
            'number, a text, a list or a macro.') from error
    found.append(f'{name} = {value}')
  return found


def parse(gin_files: Sequence[str], bindings: Sequence[str],
          before: Sequence[str] = ()) -> None:
  """Reads gin files, then bindings, replacing what was bound before.

  Args:
    gin_files: names of gin files, later ones win.
    bindings: e.g. `NUM_SIMULATIONS = 16`.
    before: bindings to which files and other bindings are preferred.

  Raises:
    UsageError: a missing or foreign file, an unknown name, an import or a
      call, a syntax error.
  """
  gin.clear_config()
  paths = [find_gin_file(name) for name in gin_files]
  for path in paths:
    _check_file(path)
  for binding in (*before, *bindings):
    _refuse_imports(binding, '--gin_bindings')
  for folder in gin_folders():
    gin.add_config_file_search_path(folder)
  try:
    gin.parse_config(list(before))
    gin.parse_config_files_and_bindings(paths, list(bindings))
  except (ValueError, SyntaxError, IOError, AttributeError, TypeError,
          RecursionError, MemoryError, tokenize.TokenError) as error:
    raise _unknown_name(error) from error
  _check_names()
  _refuse_calls()


def bound_values() -> Dict[str, str]:
  """Every bound parameter and its value as text, e.g. for a difference."""
  values = {}
  for line in gin.config_str(max_line_length=100_000).split('\n'):
    if '=' in line and not line.lstrip().startswith('#'):
      name, _, value = line.partition('=')
      values[name.strip()] = value.strip()
  return values


def run_settings() -> Dict[str, str]:
  """Of `bound_values`, those that a run depends on."""
  return {name: value for name, value in bound_values().items()
          if not name.split('xtra_tf.experiments.')[-1].startswith(_OF_NO_RUN)}


def config_text() -> str:
  """All bindings as a gin file."""
  return gin.config_str()


def operative_text() -> str:
  """The bindings that were used, with the defaults of those that were not."""
  return gin.operative_config_str()


def resolve(configurable: Any, scope: Optional[str] = None,
            **given: Any) -> Any:
  """Builds settings within a gin scope; gin's own errors become ours.

  Args:
    configurable: one of `CONFIGURABLES`.
    scope: a stage's name, or None.
    **given: what the caller decides and gin does not.

  Raises:
    UsageError: a value is missing or not acceptable.
  """
  try:
    with gin.config_scope(scope):
      return configurable(**given)
  except UsageError as error:
    # Gin adds a line about itself.
    text = str(error).split('\n')[0]
    raise UsageError(text + (f' (Stage {scope}.)' if scope else '')) from error
  except (TypeError, ValueError, RuntimeError) as error:
    text = str(error).strip().split('\n')[0]
    raise UsageError(f'Gin, {configurable.__name__}'
                     + (f' of stage {scope}' if scope else '')
                     + f': {text}') from error


def discount_of(planner: Any) -> float:
  """Factor per agent step; the search and the targets share it."""
  return planner.discount
