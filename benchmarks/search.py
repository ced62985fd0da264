"""Times the tree search with a linear model beside mctx and LightZero.

64 numbers, 18 actions, 50 simulations, root noise on. Peers: LightZero's C++
EfficientZero tree with PyTorch, mctx.muzero_policy and
mctx.gumbel_muzero_policy with JAX. The records named `search/...` chart our
cost against simulations, batch and actions.

Examples:
  python -m benchmarks.search
  python -m benchmarks.search --json --batches=64 --pairs=31
  python -m benchmarks.search --cost
"""

from typing import Any, Dict, Iterator, Tuple

from absl import flags

from benchmarks import command
from benchmarks.command import Effort
from benchmarks.pairs import alone, compare
from benchmarks.party import Party
from benchmarks.records import Record

FLAGS = flags.FLAGS

flags.DEFINE_bool('cost', False, 'Chart our cost instead: no peer is run.')
flags.adopt_module_key_flags(command)

NUM_SIMULATIONS = 50
NUM_ACTIONS = 18
BATCHES = (8, 64, 256)
# {peer: (module, environment, what it is told, {batch: least ratio})}
_PEERS: Dict[str, Tuple[str, str, Dict[str, Any], Dict[int, float]]] = {
    'lightzero': ('lightzero_search', 'lightzero', {},
                  {8: 1., 64: 1.5, 256: 1.5}),
    'mctx_muzero': ('mctx_search', 'jax', {'policy': 'muzero'},
                    {8: 2., 64: 2., 256: 2.}),
    'mctx_gumbel': ('mctx_search', 'jax', {'policy': 'gumbel'}, {64: 1.}),
}
# One of the three sizes is varied at a time, from this case.
_COSTS = {'num_simulations': (12, 25, 50, 100, 200),
          'batch': (8, 16, 32, 64, 128, 256, 512),
          'num_actions': (4, 9, 18, 36, 72)}


def case_of(**sizes: int) -> Dict[str, Any]:
  """What every party is told: the sizes of a search."""
  return {'batch': 64, 'num_simulations': NUM_SIMULATIONS,
          'num_actions': NUM_ACTIONS, **sizes}


def beside_peers(effort: Effort) -> Iterator[Record]:
  """Each batch size beside each peer."""
  with Party('xtra_search', None, effort.threads) as ours:
    for name, (module, environment, told, goals) in _PEERS.items():
      with Party(module, environment, effort.threads) as peer:
        for batch in effort.batches or BATCHES:
          case = case_of(batch=batch)
          ours.prepare(case)
          peer.prepare({**case, **told})
          yield compare('search', ours, peer, name, effort.pairs,
                        effort.threads, batch=batch, goal=goals.get(batch))


def costs(effort: Effort) -> Iterator[Record]:
  """Our time against simulations, batch and actions."""
  with Party('xtra_search', None, effort.threads) as ours:
    for size, values in _COSTS.items():
      for value in values:
        case = case_of(**{size: value})
        ours.prepare(case)
        yield alone(f'search/{size}', ours, effort.pairs, effort.threads,
                    batch=case['batch'], x=value)


def measure(effort: Effort) -> Iterator[Record]:
  """What the flags ask for."""
  return costs(effort) if FLAGS.cost else beside_peers(effort)


if __name__ == '__main__':
  command.run(measure)
