"""Times acting in real Atari games beside LightZero's tree and network.

8 environments of one game, full EfficientZero network, 50 simulations: a sample
is one step of every environment (search, choice of actions, emulators, frame
stack). Nothing is recorded on either side. `acting/halves`: two groups of games
take turns, one searched while the emulators of the other play, beside one
search of all games.

Examples:
  python -m benchmarks.acting
  python -m benchmarks.acting --json --pairs=31
"""

from typing import Any, Dict, Iterator

from absl import flags

from benchmarks import command
from benchmarks.command import Effort
from benchmarks.pairs import compare
from benchmarks.party import Party
from benchmarks.records import Record, counted
from xtra_tf import tasks
from xtra_tf.errors import UsageError

flags.adopt_module_key_flags(command)

TASK = 'Assault'
NUM_ENVS = 8
_NUM_SIMULATIONS = 50
_LEAST_RATIO = 1.2
_SHARE_STEPS = 50  # over which the environments' share is taken


def measure(effort: Effort) -> Iterator[Record]:
  """A step beside LightZero's, the environments' share of ours, halves."""
  task = tasks.get_task(TASK)
  case: Dict[str, Any] = {
      'task': TASK, 'rom': tasks.atari_rom(TASK), 'batch': NUM_ENVS,
      'legal_actions': task.legal_actions, 'num_simulations': _NUM_SIMULATIONS}
  with Party('xtra_acting', None, effort.threads) as ours:
    with Party('lightzero_acting', 'lightzero', effort.threads) as peer:
      for batch in effort.batches or (NUM_ENVS,):
        sized = {**case, 'batch': batch}
        ours.prepare(sized)
        peer.prepare(sized)
        yield compare('acting', ours, peer, 'lightzero', effort.pairs,
                      effort.threads, batch=batch, goal=_LEAST_RATIO)
    found = ours.measure({**case, 'steps': _SHARE_STEPS})
    yield counted(
        'acting/environment_share',
        found['environment_seconds'] / found['seconds'],
        'of a step is spent waiting for the emulators', goal=0.1, at_most=True,
        batch=NUM_ENVS, threads=effort.threads,
        versions={'ours': ours.versions})
    with Party('xtra_acting', None, effort.threads) as halves:
      for batch in effort.batches or (NUM_ENVS,):
        if batch % 2:
          raise UsageError(f'--batches={batch} cannot be halved for '
                           '`acting/halves`. Expected even numbers of games.')
        sized = {**case, 'batch': batch}
        ours.prepare(sized)
        halves.prepare({**sized, 'groups': 2})
        yield compare('acting/halves', halves, ours, 'at once', effort.pairs,
                      effort.threads, batch=batch)


if __name__ == '__main__':
  command.run(measure)
