"""The sentences of an experiment's report."""

from typing import List, Optional, Sequence

from xtra_tf.evaluation import formatting
from xtra_tf.evaluation.aggregates import Interval
from xtra_tf.evaluation.experiment_curves import Curve
from xtra_tf.evaluation.experiment_records import MethodRecord
from xtra_tf.evaluation.experiment_runs import Experiment
from xtra_tf.evaluation.experiment_scores import Scores, paper_method
from xtra_tf.evaluation.experiment_tables import estimate

_PAPER_STEPS = 100_000  # of every run of the paper, agent steps
_PAPER_SEEDS = 5
_PAPER_GAMES = 32


def progress(experiment: Experiment) -> str:
  """How many of the runs are there."""
  total = len(experiment.runs)
  counts = {state: len(experiment.in_state(state))
            for state in ('done', 'failed', 'missing')}
  text = (f'{counts["done"]} of {formatting.counted(total, "run")} '
          f'{"is" if counts["done"] == 1 else "are"} done')
  for state, words in (('failed', 'failed'), ('missing', 'not run')):
    if counts[state]:
      text += f', {counts[state]} {words}'
  return f'{text}.'


def headline(scores: Scores) -> List[str]:
  """What came out: XTRA (or the first other method) and EfficientZero."""
  experiment, base = scores.experiment, scores.baseline
  if not experiment.in_state('done'):
    return ['No run is done yet, so there is no score to report.']
  if base is None:
    return ['EfficientZero from scratch is not among the methods, so that '
            'nothing says whether transfer helped.']
  others = [m for m in experiment.methods if m.name != base.name]
  if not others:
    return [f'{base.label} is the only method, so that there is nothing to '
            'compare it with.']
  first = next((m for m in others if paper_method(m) == 'XTRA'), others[0])
  return _against(scores, first, base)


def _against(scores: Scores, method: MethodRecord,
             base: MethodRecord) -> List[str]:
  """One method against EfficientZero: over targets, else target by target."""
  targets = scores.experiment.targets
  sentences = []
  found = scores.aggregate(method)
  if len(targets) > 1 and found.improvement is not None:
    text = (f'{method.label} scored {estimate(found.improvement[0])} times '
            f'what {base.label} did, as a mean over '
            f'{formatting.counted(len(targets), "target")}')
    if found.probability is not None:
      text += (', and one of its runs beats one of '
               f"{base.label}'s with probability {estimate(found.probability)}")
    sentences.append(f'{text}.')
  limit = 4
  for target in targets[:limit]:
    score, other = (scores.of(m, target) for m in (method, base))
    if score.mean is None or other.mean is None:
      sentences.append(f'{target.name}: not compared, for '
                       f'{(method if score.mean is None else base).label} has '
                       'no run there.')
      continue
    text = (f'{target.name}: {method.label} {formatting.score(score.mean)} '
            f'(n = {len(score.scores)}), {base.label} '
            f'{formatting.score(other.mean)} (n = {len(other.scores)})')
    sentences.append(f'{text}; {_verdict(score.difference)}.')
  if len(targets) > limit:
    sentences.append(f'The other {len(targets) - limit} targets are in the '
                     'table below.')
  return sentences


def _verdict(difference: Optional[Interval]) -> str:
  if difference is None:
    return 'too few runs to say whether that is more than luck'
  low, high = difference.low, difference.high
  words = ('which holds 0: these runs do not tell the two apart'
           if low <= 0 <= high else 'which does not hold 0')
  return (f'the difference is {difference.estimate:+,.1f}, with an interval of '
          f'{formatting.score(low)} to {formatting.score(high)}, {words}')


def scale(scores: Scores) -> str:
  """How far the experiment is from the paper's scale."""
  experiment = scores.experiment
  finals = [run.final for run in experiment.runs.values() if run.final]
  steps = sorted({run.cost.env_steps for run in experiment.runs.values()
                  if run.cost and run.cost.env_steps})
  games = sorted({len(final.returns) for final in finals})
  if not steps:
    return ('How many environment steps the runs took was not recorded; the '
            f"paper's took {_PAPER_STEPS:,}.")
  small = steps[-1] < _PAPER_STEPS
  text = (f'A run took {_span(steps)} environment steps on its target (the '
          f"paper's: {_PAPER_STEPS:,}), and was judged by {_span(games)} games "
          f"(the paper's: {_PAPER_GAMES}); there are up to "
          f'{formatting.counted(len(experiment.seeds), "seed")} (the '
          f"paper's: {_PAPER_SEEDS}).")
  if small:
    text += (' At this scale the scores are not to be compared with the '
             "paper's; what can be compared is which method is ahead, and "
             'whether the intervals bear it out.')
  return text


def _span(values: Sequence[int]) -> str:
  if len(values) == 1:
    return f'{values[0]:,}'
  return f'{values[0]:,} to {values[-1]:,}'


def cautions(scores: Scores, curves: Sequence[Sequence[Curve]]) -> List[str]:
  """What a reader has to know before believing the intervals."""
  experiment = scores.experiment
  items = _about_intervals(scores)
  items += _shared_stages(experiment)
  items += _unequal_games(experiment)
  for target in experiment.targets:
    base = scores.baseline_mean(target.name)
    if base is not None and base <= 0:
      items.append(f'{target.name}: EfficientZero has a mean of '
                   f'{formatting.score(base)}, so that no improvement can be '
                   'given.')
  interpolated = sorted({curve.target for found in curves for curve in found
                         if curve.interpolated})
  if interpolated:
    items.append('Runs were evaluated at different steps on '
                 f'{formatting.listing(interpolated)}; their curves are '
                 'interpolated linearly within what all runs cover.')
  lacking = [str(run.key) for run in experiment.in_state('done')
             if run.cost is None]
  if lacking:
    items.append(f'No cost was recorded of: {"; ".join(lacking)}.')
  return items


def _about_intervals(scores: Scores) -> List[str]:
  counts = {len(score.scores) for method in scores.experiment.methods
            for target in scores.experiment.targets
            for score in [scores.of(method, target)] if score.interval}
  items = []
  if 3 in counts:
    items.append(
        'With three runs, the 95 % bootstrap interval of one method on one '
        'target is simply the range from the lowest run to the highest. It '
        'holds the true mean of a symmetric distribution in 75 of 100 '
        'experiments, not in 95.')
  if counts & {4, 5, 6, 7, 8, 9}:
    items.append('Bootstrap intervals of fewer than ten runs are narrower '
                 'than they claim to be.')
  return items


def _shared_stages(experiment: Experiment) -> List[str]:
  """Randomness that the intervals leave out, for the runs share a stage."""
  shared: List[str] = []
  for method in experiment.methods:
    for target in experiment.targets:
      runs = experiment.done(method.name, target.name)
      stages = {stage for run in runs if run.cost
                for stage in run.cost.inherited}
      for stage in sorted(stages):
        hashes = {run.cost.inherited.get(stage) for run in runs if run.cost}
        if len(runs) > 1 and len(hashes) == 1:
          shared.append(stage.split('/')[0])
  if not shared:
    return []
  return ['Runs of several seeds take over the same '
          f'{formatting.listing(sorted(set(shared)))}: intervals are over what '
          'was done anew with each seed, and leave the luck of the shared part '
          'out.']


def _unequal_games(experiment: Experiment) -> List[str]:
  """Evaluations that were not made in the same way."""
  items = []
  finals = [run.final for run in experiment.runs.values() if run.final]
  counts = sorted({len(final.returns) for final in finals})
  if len(counts) > 1:
    items.append('The judged evaluations differ in length: '
                 f'{formatting.listing([str(c) for c in counts])} games.')
  elif len({final.seeds for final in finals}) > 1:
    items.append('The judged evaluations have different seeds of games.')
  for name in ('profile', 'codec'):
    values = sorted({str(getattr(final, name)) for final in finals})
    if len(values) > 1:
      items.append(f'The judged models differ in their {name}: '
                   f'{formatting.listing(values)}.')
  truncated = sum(sum(final.truncated) for final in finals)
  if truncated:
    items.append(f'{formatting.counted(truncated, "judged game")} '
                 f'{"was" if truncated == 1 else "were"} cut by the step '
                 'limit.')
  return items


def left_out(scores: Scores) -> List[str]:
  """What the aggregates over targets lack, a sentence a method."""
  found = [(method.label, scores.aggregate(method).missing)
           for method in scores.experiment.methods]
  return [f'{label}: {"; ".join(words)}.' for label, words in found if words]
