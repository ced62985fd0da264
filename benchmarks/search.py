"""Times the tree search beside mctx and LightZero: 50 simulations, root noise.

Parts: `linear`, a linear model on 64 numbers with 18 actions, beside
LightZero's C++ EfficientZero tree with PyTorch, mctx.muzero_policy and
mctx.gumbel_muzero_policy with JAX; `network`, the full EfficientZero network
beside LightZero's search with its own of the same size; `cost`, ours alone
against simulations, batch and actions.

Examples:
  python -m benchmarks.search
  python -m benchmarks.search --json --parts=linear --batches=64 --pairs=31
  python -m benchmarks.search --parts=cost
"""

from typing import Any, Dict, Iterator, Tuple

from absl import flags

from benchmarks import command
from benchmarks.command import Effort
from benchmarks.pairs import alone, compare
from benchmarks.party import Party
from benchmarks.records import Record
from xtra_tf.errors import UsageError, near_names

FLAGS = flags.FLAGS

PARTS = ('linear', 'network', 'cost')
flags.DEFINE_list('parts', ['linear', 'network'],
                  f'What is timed, of {", ".join(PARTS)}.')
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
_NETWORK_GOALS = {8: 1.2, 64: 1.}
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


def with_the_network(effort: Effort) -> Iterator[Record]:
  """The full network beside LightZero's search with its own."""
  with Party('xtra_network', None, effort.threads) as ours:
    with Party('lightzero_network', 'lightzero', effort.threads) as peer:
      for batch in effort.batches or tuple(_NETWORK_GOALS):
        for party in (ours, peer):
          party.prepare(case_of(batch=batch))
        yield compare('search_network', ours, peer, 'lightzero', effort.pairs,
                      effort.threads, batch=batch,
                      goal=_NETWORK_GOALS.get(batch))


def measure(effort: Effort) -> Iterator[Record]:
  """What the flags ask for."""
  for part in FLAGS.parts:
    if part not in PARTS:
      raise UsageError(f'There is no part {part!r}. {near_names(part, PARTS)}')
  for part, records in zip(PARTS, (beside_peers, with_the_network, costs)):
    if part in FLAGS.parts:
      yield from records(effort)


if __name__ == '__main__':
  command.run(measure)
