"""All that a report needs of a run, read from the files under its root_dir.

Nothing is required: what is missing or damaged is noted in `problems`, for a
report on an incomplete run is worth more than none.
"""

import ast
import dataclasses
import functools
import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import numpy as np

from xtra_tf.errors import UsageError, UserError
from xtra_tf.evaluation import results as results_lib
from xtra_tf.evaluation.results import Recording, ResultRecord
from xtra_tf.runs import RunDirectory, StageDirectory, atomic
from xtra_tf.runs.incidents import read_incidents
from xtra_tf.runs.metrics import read_metrics
from xtra_tf.runs.stage_directory import folder_name

_COUNTERS = ('step', 'env_steps', 'time')


class RunSettings:
  """Looks up gin parameters of a run, as run.json holds them."""

  def __init__(self, bindings: Mapping[str, str]):
    """Initializes the look-up.

    Args:
      bindings: {name: value as text}; a name is a macro's, or
        `scope/module.Class.parameter` with optional scope and module.
    """
    self.bindings = dict(bindings)

  def get(self, parameter: str, scope: Optional[str] = None) -> Any:
    """A parameter's value, None where it was left at its default.

    Args:
      parameter: `Class.parameter`, or a macro's name.
      scope: a stage; its own binding wins over one for all stages.
    """
    found: Dict[str, str] = {}
    for name, text in self.bindings.items():
      where, _, rest = name.rpartition('/')
      if rest == parameter or rest.endswith('.' + parameter):
        found[where] = text
    for where in (scope or '', ''):
      if where in found:
        return self._value(found[where])
    return None

  def _value(self, text: str, depth: int = 0) -> Any:
    if text.startswith('%') and depth < 8:
      macro = self.bindings.get(text[1:].split('.')[-1])
      return None if macro is None else self._value(macro, depth + 1)
    try:
      return ast.literal_eval(text)
    except (ValueError, SyntaxError):
      return text


@dataclasses.dataclass(frozen=True)
class StageFiles:
  """One stage's files.

  Attributes:
    name: e.g. `finetune/Krull`.
    kind: `data`, `teacher`, `student`, `cloning`, `finetune` or `scratch`.
    task: that it is about; None for student and cloning.
    state: `done`, `running`, `stopped`, `given` (data that the user brought) or
      `missing`.
    seconds: wall clock, all sessions.
    sessions: how often it was begun.
    facts: what its completion marker says.
    rows: metrics, in the order of writing.
    model: the content of model.json, or {}.
    incidents: oldest first.
  """
  name: str
  kind: str
  task: Optional[str]
  state: str = 'missing'
  seconds: float = 0.
  sessions: int = 0
  facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  rows: Tuple[Mapping[str, Any], ...] = ()
  model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  incidents: Tuple[Mapping[str, Any], ...] = ()

  def series(self, tag: str, x: str = 'step') -> Tuple[np.ndarray, np.ndarray]:
    """Where a tag was written, and its values; nulls are left out.

    Args:
      tag: e.g. `loss/value`.
      x: `step` (gradient steps), `env_steps` or `time`.

    Returns:
      <float64>[N] and <float64>[N].
    """
    pairs = [(row[x], row[tag]) for row in self.rows
             if row.get(tag) is not None and row.get(x) is not None]
    points = np.array(pairs, np.float64).reshape([-1, 2])
    return points[:, 0], points[:, 1]

  def tags(self, prefix: str) -> List[str]:
    """Tags that begin so, in the order of their first row."""
    return list(dict.fromkeys(tag for row in self.rows for tag in row
                              if tag.startswith(prefix)))

  def nulls(self) -> Dict[str, int]:
    """How often each tag was written without a finite value."""
    counts: Dict[str, int] = {}
    for row in self.rows:
      for tag, value in row.items():
        if value is None:
          counts[tag] = counts.get(tag, 0) + 1
    return counts

  def last(self, counter: str, fact: str) -> Optional[int]:
    """A counter's end: from the marker, else from the last row of metrics."""
    if fact in self.facts:
      return int(self.facts[fact])
    values = [row[counter] for row in self.rows
              if row.get(counter) is not None]
    return int(max(values)) if values else None

  @property
  def updates(self) -> Optional[int]:
    """Gradient steps made, None where nothing tells."""
    return self.last('step', 'updates')

  @property
  def env_steps(self) -> Optional[int]:
    """Environment steps taken, None where nothing tells."""
    return self.last('env_steps', 'env_steps')


@dataclasses.dataclass(frozen=True)
class RunFiles:
  """One run's files.

  Attributes:
    root: the root_dir.
    record: the content of run.json, or {}.
    settings: the gin parameters.
    target: the target task.
    sources: the offline tasks.
    stages: {name: stage}, all that the run should have, in order.
    results: evaluations on the target task, oldest first.
    source_results: evaluations on the source tasks, oldest first.
    config: {file name: text} of the gin files as given and as used.
    incidents: of the run as a whole, oldest first.
    problems: what is missing or damaged, one sentence each.
  """
  root: str
  record: Mapping[str, Any]
  settings: RunSettings
  target: str
  sources: Tuple[str, ...]
  stages: Mapping[str, StageFiles]
  results: Tuple[ResultRecord, ...]
  config: Mapping[str, str]
  incidents: Tuple[Mapping[str, Any], ...]
  problems: List[str]
  source_results: Tuple[ResultRecord, ...] = ()

  def stage(self, kind: str, task: Optional[str] = None) -> StageFiles:
    """A stage; without files its state is `missing`."""
    name = kind if task is None else f'{kind}/{task}'
    return self.stages[name]

  def online(self) -> Dict[str, StageFiles]:
    """{kind: stage} of the two stages that play the target."""
    return {kind: self.stage(kind, self.target)
            for kind in ('finetune', 'scratch')}

  def final_result(self, kind: str) -> Optional[ResultRecord]:
    """A stage's evaluation at its last step, None where there is none."""
    found = [r for r in self.results if r.stage.split('/')[0] == kind]
    return max(found, key=lambda r: r.step) if found else None

  def source_result(self, kind: str, task: str) -> Optional[ResultRecord]:
    """A stage's evaluation on a source task: the last, of most games."""
    found = [r for r in self.source_results
             if (r.stage.split('/')[0], r.task) == (kind, task)]
    return (max(found, key=lambda r: (r.step, len(r.seeds))) if found
            else None)

  @property
  def seconds(self) -> float:
    """Wall clock of all stages and of the evaluations after them.

    What was taken over from other runs is not counted, nor what was evaluated
    beside the training.
    """
    own = [r for r in self.source_results if r.run == self.record.get('id')]
    kinds = dict.fromkeys(r.stage.split('/')[0] for r in self.results)
    final = [r for r in map(self.final_result, kinds) if r is not None]
    return (sum(stage.seconds for stage in self.stages.values())
            + sum(record.seconds for record in (*final, *own)))

  def recording(self, record: ResultRecord) -> Optional[Recording]:
    """The recorded game of an evaluation; None (and a problem) without."""
    path = os.path.join(self.root, 'eval', 'results.jsonl')
    return _tolerant(lambda: results_lib.read_recording(path, record), None,
                     self.problems)


def _tolerant(read: Callable[[], Any], otherwise: Any,
              problems: List[str]) -> Any:
  """What `read` returns; if it raises, that is noted and something else."""
  try:
    return read()
  except UserError as error:
    problems.append(str(error))
    return otherwise


def read_run(root_dir: str, target_task: Optional[str] = None,
             source_tasks: Optional[Tuple[str, ...]] = None) -> RunFiles:
  """Reads a run's files.

  Args:
    root_dir: the run's folder.
    target_task: the target; found in the run's settings if not given.
    source_tasks: the offline tasks; as before.

  Raises:
    UsageError: no such folder, or no task is known.
  """
  if not os.path.isdir(root_dir):
    raise UsageError(f'There is no run in {root_dir}: no such folder. Expected '
                     'the root_dir of a run.')
  problems: List[str] = []
  directory = RunDirectory(root_dir)
  record = _tolerant(lambda: directory.record, {}, problems)
  settings = RunSettings(record.get('settings', {}))
  records = _tolerant(lambda: results_lib.read(directory.results), [], problems)
  target = target_task or _target(root_dir, settings, records)
  sources = tuple(source_tasks or settings.get('TaskSettings.sources') or ())
  if not sources:
    problems.append('The settings name no source tasks.')
  names = ([('data', task) for task in sources]
           + [('teacher', task) for task in sources] + [('student', None)]
           # Not a part of a run unless it was asked for.
           + [('cloning', None)] * ('cloning' in record.get('stages', {}))
           + [('finetune', target), ('scratch', target)])
  stages = {}
  for kind, task in names:
    stage = _read_stage(_stage_directory(root_dir, kind, task, record), kind,
                        task, record, settings, problems)
    stages[stage.name] = stage
  return RunFiles(
      root=directory.path, record=record, settings=settings, target=target,
      sources=sources, stages=stages,
      results=tuple(r for r in records if r.task == target),
      config=_read_config(directory.config),
      incidents=tuple(_tolerant(functools.partial(
          read_incidents, os.path.join(root_dir, 'logs')), [], problems)),
      problems=problems,
      source_results=tuple(r for r in records if r.task in sources))


def _stage_directory(root_dir: str, kind: str, task: Optional[str],
                     record: Mapping[str, Any]) -> StageDirectory:
  """A stage's folder: the run's own unless it was taken over."""
  name = kind if task is None else f'{kind}/{task}'
  taken = record.get('inherited', {}).get(name)
  if taken is not None:
    return StageDirectory(os.path.join(root_dir, taken['folder']), name)
  if task is None:
    return StageDirectory(os.path.join(root_dir, kind), kind)
  return StageDirectory(os.path.join(root_dir, kind, folder_name(task)),
                        f'{kind}/{task}')


def _target(root_dir: str, settings: RunSettings,
            records: List[ResultRecord]) -> str:
  named = settings.get('TaskSettings.target')
  if named:
    return str(named)
  for record in records:
    if record.stage.split('/')[0] in ('finetune', 'scratch'):
      return record.task
  raise UsageError(f'Nothing in {root_dir} names a target task: no settings in '
                   'run.json, no evaluation of a finetuned model. Expected '
                   'the root_dir of a run, or target_task.')


def _read_stage(directory: StageDirectory, kind: str, task: Optional[str],
                record: Mapping[str, Any], settings: RunSettings,
                problems: List[str]) -> StageFiles:
  name = kind if task is None else f'{kind}/{task}'
  noted = record.get('stages', {}).get(name, {})
  facts = _tolerant(directory.read_done, None, problems)
  state = noted.get('state', 'missing')
  if facts is not None:
    state = 'done'
  elif kind == 'data' and f'flag:task_data:{task}' in settings.bindings:
    state = 'given'
  elif state == 'missing' and os.path.isdir(directory.path):
    state = 'stopped'
  rows: List[Mapping[str, Any]] = []
  if os.path.isdir(directory.metrics):
    for file in sorted(os.listdir(directory.metrics)):
      if file.endswith('.jsonl'):
        path = os.path.join(directory.metrics, file)
        rows.extend(_tolerant(functools.partial(read_metrics, path), [],
                              problems))
  model_path = os.path.join(directory.path, 'model.json')
  model = {}
  if os.path.exists(model_path):
    model = _tolerant(lambda: atomic.read_json(model_path), {}, problems)
  incidents = _tolerant(lambda: read_incidents(directory.logs), [], problems)
  return StageFiles(
      name=name, kind=kind, task=task, state=state,
      seconds=float(noted.get('seconds', 0.)),
      sessions=int(noted.get('sessions', 0)), facts=facts or {},
      rows=tuple(rows), model=model, incidents=tuple(incidents))


def _read_config(folder: str) -> Dict[str, str]:
  texts = {}
  for name in ('given.gin', 'operative.gin'):
    path = os.path.join(folder, name)
    if os.path.exists(path):
      with open(path, encoding='utf-8') as file:
        texts[name] = file.read()
  return texts
