"""The flags of every program that reads gin settings."""

from typing import List

from absl import flags

flags.DEFINE_multi_string(
    'gin_file', [], 'Gin file, e.g. protocols/demo.gin; later ones win. Looked '
    'for here, in gin/ of the checkout, in the installed package.')
flags.DEFINE_multi_string(
    'gin_bindings', [], 'One binding, e.g. "NUM_SIMULATIONS = 16".')
flags.DEFINE_bool(
    'trust_gin', False, 'Read gin files of other places than here, the '
    'checkout and the package, too.')

_DEFAULT_FILE = 'protocols/demo.gin'


def files() -> List[str]:
  """Those that --gin_file names; the demo's for a run without."""
  return flags.FLAGS.gin_file or [_DEFAULT_FILE]


def apply_trust() -> None:
  """Does what --trust_gin says. To be called before gin files are read."""
  if flags.FLAGS.trust_gin:
    from xtra_tf.experiments import configuration
    configuration.trust_gin_files()
