"""Seeds of games: each is a function of which game it is, never of history."""

import numpy as np

# Told apart from every other use of a run's seed.
_TRAINING_STREAM = 0x67616D65
# Distance between the seeds of one evaluation game's redraws; far more than
# any evaluation has games.
_ATTEMPT_STRIDE = 1_000_000


def episode_seed(run_seed: int, slot: int, episode: int, attempt: int) -> int:
  """Seed of a training game.

  Args:
    run_seed: seed of the run, not negative.
    slot: index of the environment that plays it.
    episode: number of the game in its slot, resumed runs go on counting.
    attempt: how many seeds of this game were refused before.

  Returns:
    A seed in 0..2^31 - 1 (the emulator takes 32-bit signed ones).
  """
  sequence = np.random.SeedSequence(
      [_TRAINING_STREAM, run_seed, slot, episode, attempt])
  return int(sequence.generate_state(1)[0] & 0x7FFFFFFF)


def evaluation_seed(index: int, attempt: int) -> int:
  """Seed of evaluation game `index`, the same whatever the run.

    seed = index + 1 000 000 * attempt

  so that the first attempts are the seeds 0..31 of the official evaluation
  (EfficientZero core/test.py:79).

  Args:
    index: number of the game, 0..31 in the full protocol.
    attempt: how many seeds of this game were refused before.

  Raises:
    ValueError: an index that would meet another game's redraws.
  """
  if not 0 <= index < _ATTEMPT_STRIDE:
    raise ValueError(f'An evaluation game has an index in 0..'
                     f'{_ATTEMPT_STRIDE - 1}, got {index}.')
  return index + _ATTEMPT_STRIDE * attempt
