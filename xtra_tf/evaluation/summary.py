"""One evaluation in a few lines, for a terminal."""

from typing import List, Tuple

import numpy as np

from xtra_tf.evaluation import aggregates, formatting
from xtra_tf.evaluation.comparison import (
  human_name,
  interval_over_games,
  random_and_human,
)
from xtra_tf.evaluation.results import ResultRecord


def summarize(record: ResultRecord) -> List[Tuple[str, str]]:
  """What an evaluation has found, beside random play and a human.

  Args:
    record: the evaluation.

  Returns:
    (name, value) pairs. The interval is a bootstrap over games; the
    human-normalised score is that of the mean.
  """
  returns = record.returns
  mean = float(np.mean(returns))
  random, human = random_and_human(record.task)
  normalised = formatting.MISSING
  if random is not None and human is not None:
    share = float(aggregates.human_normalised(mean, random, human))
    normalised = f'{share:.3f}'
  interval = interval_over_games(returns)
  score = formatting.score
  return [
      ('Mean score', score(mean)),
      ('95 % interval over games', 'too few games' if interval is None else
       f'{score(interval.low)} to {score(interval.high)}'),
      ('Median', score(float(np.median(returns)))),
      ('Lowest to highest', f'{score(min(returns))} to {score(max(returns))}'),
      ('Random play', score(random)),
      (human_name(record.task), score(human)),
      ('Human-normalised score', normalised),
      ('Games', _games(record)),
      ('Agent steps', f'{sum(record.lengths):,}'),
      ('Wall clock', formatting.duration(record.seconds))]


def _games(record: ResultRecord) -> str:
  truncated = sum(record.truncated)
  games = f'{len(record.returns)}, seeds {_seeds(record.seeds)}'
  return games + (f', {truncated} truncated' if truncated else '')


def _seeds(seeds: Tuple[int, ...]) -> str:
  """`0..31`, and those that differ because a start was drawn again."""
  drawn_again = [str(seed) for index, seed in enumerate(seeds)
                 if seed != seeds[0] + index]
  first_to_last = f'{seeds[0]}..{seeds[0] + len(seeds) - 1}'
  return first_to_last + (f' (among them {", ".join(drawn_again)} for a start '
                          'without no-ops)' if drawn_again else '')
