"""The tables of the report."""

from typing import Any, List, Optional, Sequence

from xtra_tf.evaluation import formatting, reference_scores
from xtra_tf.evaluation.comparison import (
  METHODS,
  Comparison,
  MethodScore,
  random_and_human,
)
from xtra_tf.evaluation.formatting import MISSING, Table
from xtra_tf.evaluation.run_files import RunFiles
from xtra_tf.evaluation.training_figures import (
  updates_per_second,
  waiting_for_data,
)

NAMES = {
    'finetune': 'XTRA, finetuned', 'scratch': 'EfficientZero from scratch',
    'student': 'Student, zero-shot', 'cloning': 'Behaviour cloning, zero-shot'}
# The scale of the paper and of the official code's training script.
_PAPER_ENV_STEPS = 100_000
_PAPER_UPDATES = 120_000
_PAPER_SIMULATIONS = 50
_PAPER_ROWS = 256
_PAPER_PIXELS = 96
_PAPER_EPISODES = 32
_PAPER_SEEDS = 5
_PAPER_GAME_STEPS = 27_000
_TABLE_NAMES = {
    reference_scores.XTRA_TABLE_1: 'table 1 (similar games)',
    reference_scores.XTRA_TABLE_2: 'table 2 (diverse games)'}


def table_name(name: str) -> str:
  """What a reader calls a table of the paper."""
  return _TABLE_NAMES[name]


def interval_text(method: MethodScore) -> str:
  """The interval over games, or why there is none."""
  if method.record is None:
    return 'not evaluated'
  if method.interval is None:
    return 'too few games'
  low, high = method.interval.low, method.interval.high
  return f'{formatting.score(low)} to {formatting.score(high)}'


def scores(comparison: Comparison) -> Table:
  """Final scores of this run's methods and of the references."""
  rows = []
  for method in comparison.methods:
    record = method.record
    returns = record.returns if record else ()
    rows.append([
        NAMES[method.kind], formatting.score(method.mean),
        interval_text(method),
        formatting.score(sorted(returns)[(len(returns) - 1) // 2])
        if returns else MISSING,
        (f'{formatting.score(min(returns))} to '
         f'{formatting.score(max(returns))}') if returns else MISSING,
        str(len(returns)) if returns else MISSING,
        str(sum(record.truncated)) if record else MISSING,
        f'{method.human_normalised:.3f}'
        if method.human_normalised is not None else MISSING,
        formatting.score(method.paper)])
  for name, value, normalised in (
      ('Random play', comparison.random, '0.000'),
      (comparison.human_name, comparison.human, '1.000')):
    rows.append([name, formatting.score(value)] + [MISSING] * 5
                + [normalised if value is not None else MISSING, MISSING])
  return Table('scores', (
      'Method', 'Mean', '95 % interval over games, one training seed', 'Median',
      'Lowest to highest', 'Games', 'Truncated', 'Human-normalised',
      'Paper, 100k steps'), rows)


def paper(run: RunFiles) -> List[Table]:
  """The target's row in each of the paper's tables that has it."""
  found = []
  for name in reference_scores.tables_of(run.target):
    methods = reference_scores.methods(name)
    row = [formatting.score(reference_scores.score(name, run.target, method))
           for method in methods]
    found.append(Table(f'paper_{name}', (f'Paper, {_TABLE_NAMES[name]}',
                                         *methods), [[run.target, *row]]))
  return found


def _share(ours: Optional[float], theirs: float) -> str:
  return MISSING if ours is None else formatting.percent(ours, theirs)


def scale(run: RunFiles) -> Table:
  """How small this run is: its numbers beside the paper's."""
  get = run.settings.get
  finetune = run.stage('finetune', run.target)
  final = run.final_result('finetune')
  simulations = get('MctsPlanner.num_simulations')
  rows_of_target = get('StageSettings.batch_size', 'finetune')
  games = len(final.returns) if final else get('EvaluationSettings.episodes')
  limit = get('EvaluationSettings.max_episode_steps')
  batch = (f'{formatting.number(rows_of_target)} + as many offline'
           if rows_of_target else MISSING)
  rows = [
      ['Environment steps on the target', formatting.number(finetune.env_steps),
       formatting.number(_PAPER_ENV_STEPS),
       _share(finetune.env_steps, _PAPER_ENV_STEPS)],
      ['Gradient steps of finetuning', formatting.number(finetune.updates),
       formatting.number(_PAPER_UPDATES),
       _share(finetune.updates, _PAPER_UPDATES)],
      ['Gradient steps of each teacher', _updates_of(run, 'teacher'),
       'not stated', MISSING],
      ['Gradient steps of the student', _updates_of(run, 'student'),
       'not stated', MISSING],
      ['Environment steps behind each offline data set', _data_steps(run),
       'not stated', MISSING],
      ['Simulations per search', formatting.number(simulations),
       str(_PAPER_SIMULATIONS), _share(simulations, _PAPER_SIMULATIONS)],
      ['Rows of a finetuning batch', batch,
       f'{_PAPER_ROWS} + as many offline',
       _share(rows_of_target, _PAPER_ROWS)],
      ['Network', _network(run), 'EfficientZero-L: 64 channels, 4 residual '
       'blocks in the representation', MISSING],
      ['Observation', _observation(run),
       f'{_PAPER_PIXELS} x {_PAPER_PIXELS} RGB, 4 frames', MISSING],
      ['Offline games', f'{len(run.sources)} '
       f'({formatting.listing(run.sources)})', '4 (similar) or 8 (diverse)',
       MISSING],
      ['Target games', '1', '10 (similar) and 5 (diverse)', MISSING],
      ['Training seeds per method', '1', str(_PAPER_SEEDS),
       _share(1, _PAPER_SEEDS)],
      ['Games per evaluation', formatting.number(games), str(_PAPER_EPISODES),
       _share(games, _PAPER_EPISODES)],
      ['Agent steps after which an evaluation game is cut',
       formatting.number(limit), formatting.number(_PAPER_GAME_STEPS),
       _share(limit, _PAPER_GAME_STEPS)],
  ]
  return Table('scale', ('', 'This run', 'Paper or official code',
                         'Share'), rows)


def _updates_of(run: RunFiles, kind: str) -> str:
  counts = {s.updates for s in run.stages.values()
            if s.kind == kind and s.updates is not None}
  return ' / '.join(formatting.number(c) for c in sorted(counts)) or MISSING


def _data_steps(run: RunFiles) -> str:
  stages = [run.stage('data', task) for task in run.sources]
  parts = {'given by the user' if s.state == 'given'
           else formatting.number(s.env_steps) for s in stages}
  return ' / '.join(sorted(parts)) or MISSING


def _model(run: RunFiles) -> Any:
  for kind, task in (('finetune', run.target), ('scratch', run.target),
                     ('student', None)):
    model = run.stage(kind, task).model
    if model:
      return model
  return {}


def _network(run: RunFiles) -> str:
  config = _model(run).get('config', {})
  if not {'channels', 'representation_blocks'} <= set(config):
    return MISSING
  blocks = formatting.counted(config['representation_blocks'], 'residual block')
  return f'{config["channels"]} channels, {blocks} in the representation'


def _observation(run: RunFiles) -> str:
  task = _model(run).get('task', {})
  shape = task.get('observation_shape')
  if not shape:
    return MISSING
  frames = formatting.counted(task.get('stack', 1), 'frame')
  if len(shape) == 1:
    return f'vector of {shape[0]} numbers, {frames}'
  kind = {1: 'gray', 3: 'RGB'}.get(shape[2], f'with {shape[2]} planes')
  return f'{shape[0]} x {shape[1]} {kind}, {frames}'


def stages(run: RunFiles) -> Table:
  """Every stage: state, time, counters, pace."""
  rows = []
  for stage in run.stages.values():
    waiting = waiting_for_data(stage)
    rows.append([
        stage.name, stage.state, formatting.number(stage.sessions),
        formatting.duration(stage.seconds) if stage.seconds else MISSING,
        formatting.number(stage.updates),
        formatting.number(stage.env_steps or None),
        formatting.number(updates_per_second(stage)),
        MISSING if waiting is None else formatting.percent(waiting, 1.)])
  for kind in METHODS:
    record = run.final_result(kind)
    if record is not None and record.seconds:
      rows.append([f'final evaluation of {kind}', 'done', '',
                   formatting.duration(record.seconds), '',
                   formatting.number(sum(record.lengths)), '', ''])
  total = run.seconds
  rows.append(['all', '', '', formatting.duration(total), '', '', '', ''])
  return Table('stages', (
      'Stage', 'State', 'Sessions', 'Wall clock', 'Gradient steps',
      'Environment steps', 'Median gradient steps per second',
      'Learner waits for data'), rows, 2)


def teachers(run: RunFiles) -> Table:
  """Offline data, and what the teachers made of them."""
  rows = []
  for task in run.sources:
    data, teacher = run.stage('data', task), run.stage('teacher', task)
    returns = data.series(f'collect/{task}/return_raw')[1]
    random, _ = random_and_human(task)
    agreement = teacher.facts.get('teacher_agreement')
    rows.append([
        task, data.state, formatting.number(data.env_steps or None),
        str(len(returns)) if len(returns) else MISSING,
        formatting.score(float(returns.mean())) if len(returns) else MISSING,
        formatting.score(float(returns.max())) if len(returns) else MISSING,
        formatting.score(random),
        formatting.number(teacher.facts.get('teacher_rows')),
        f'{100 * agreement:.0f} %' if agreement is not None else MISSING,
        formatting.number(teacher.facts.get('teacher_root_value'))])
  return Table('teachers', (
      'Source game', 'Data', 'Environment steps', 'Games', 'Mean return',
      'Best return', 'Random play', 'Rows with teacher targets',
      "Teacher's best action was played", "Teacher's mean root value"),
               rows, 2)


def search_statistics(run: RunFiles) -> Optional[Table]:
  """Means over the searches of the final evaluations; None without."""
  # Behaviour cloning plays without search.
  records = {kind: run.final_result(kind) for kind in METHODS
             if kind != 'cloning'}
  names: List[str] = list(dict.fromkeys(
      name for record in records.values() if record
      for name in record.statistics))
  if not names:
    return None
  rows = [[NAMES[kind]] + [formatting.number(record.statistics.get(name))
                           for name in names]
          for kind, record in records.items() if record]
  return Table('search', ('Final evaluation of',
                          *(name.replace('_', ' ') for name in names)), rows)


def versions(run: RunFiles) -> Table:
  """Versions of the last session, and what differed before."""
  sessions: Sequence[Any] = run.record.get('sessions', ())
  rows = []
  if sessions:
    last = sessions[-1].get('versions', {})
    for name, value in last.items():
      others = sorted({str(s.get('versions', {}).get(name)) for s in sessions}
                      - {str(value)})
      rows.append([name, (value or 'not installed')
                   + (f' (earlier sessions: {", ".join(others)})'
                      if others else '')])
  return Table('versions', ('Package', 'Version'), rows, 2)


def evaluations(run: RunFiles) -> Table:
  """Every game of every evaluation on the target, one a row."""
  rows = []
  for record in run.results:
    for seed, score, length, truncated in zip(
        record.seeds, record.returns, record.lengths, record.truncated):
      rows.append([record.stage, str(record.step), str(record.env_steps),
                   str(seed), formatting.score(score), str(length),
                   'yes' if truncated else 'no'])
  return Table('evaluations', (
      'Stage', 'Gradient step', 'Environment steps', 'Seed', 'Raw score',
      'Agent steps', 'Truncated'), rows)
