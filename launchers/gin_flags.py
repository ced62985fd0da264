"""The flags of every program that reads gin settings."""

from absl import flags

flags.DEFINE_multi_string(
    'gin_file', [], 'Gin file, e.g. protocols/demo.gin; later ones win. Looked '
    'for here, in gin/ of the checkout, in the installed package.')
flags.DEFINE_multi_string(
    'gin_bindings', [], 'One binding, e.g. "NUM_SIMULATIONS = 16".')
