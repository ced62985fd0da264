import os

from absl.testing import parameterized
import tensorflow as tf

from xtra_tf.errors import CheckpointError
from xtra_tf.variables import checkpoint_graph


class Part(tf.Module):

  def __init__(self, **variables):
    super().__init__()
    for name, value in variables.items():
      setattr(self, name, value)


def _variable(*shape, dtype=tf.float32):
  return tf.Variable(tf.ones(shape, dtype))


def _network(widths):
  """Layers of some widths, tracked as a list, and a normalization."""
  norm = tf.keras.layers.BatchNormalization()
  norm.build([None, 2])
  return Part(norm=norm, layers=[_variable(width) for width in widths])


class CheckFitsTest(parameterized.TestCase, tf.test.TestCase):

  def save(self, **objects):
    prefix = os.path.join(self.create_tempdir().full_path, 'ckpt-1')
    return tf.train.Checkpoint(**objects).write(prefix)

  def test_equal(self):
    prefix = self.save(agent=Part(world_model=_network([2, 3])))
    checkpoint_graph.check_fits(
        prefix, {'agent/world_model': _network([2, 3])})
    checkpoint_graph.check_fits(
        prefix, {'agent': Part(world_model=_network([2, 3]))})

  @parameterized.named_parameters(
      ('another_layer', _network([2, 3, 4]),
       r'model/layers/2: expected float32\[4\], found nothing in the chec'),
      ('a_layer_less', _network([2]),
       r'model/layers/1: found float32\[3\] in the checkpoint, expected noth'),
      ('wider', _network([2, 5]),
       r'model/layers/1: expected float32\[5\], found float32\[3\]'),
      ('another_type',
       Part(norm=_network([]).norm,
            layers=[_variable(2), _variable(3, dtype=tf.int32)]),
       r'model/layers/1: expected int32\[3\], found float32\[3\]'),
      ('another_name', Part(norm=_network([]).norm, blocks=[_variable(2)]),
       r'model/blocks/0: expected.*model/layers/0: found'),
      ('no_statistics', Part(layers=[_variable(2), _variable(3)]),
       r'model/norm/moving_variance: found float32\[2\]'))
  def test_different(self, model, message):
    prefix = self.save(model=_network([2, 3]))
    with self.assertRaisesRegex(
        CheckpointError, rf'(?s)ckpt-1 does not fit:.*{message}'):
      checkpoint_graph.check_fits(prefix, {'model': model})

  def test_tensorflow_alone_would_say_nothing(self):
    # The reason why there is such a check at all.
    prefix = self.save(model=_network([2, 3]))
    wrong = tf.train.Checkpoint(model=_network([2, 3, 4]))
    wrong.read(prefix).expect_partial()

  def test_variables_reached_by_two_ways_count_once(self):
    shared = _variable(2)
    prefix = self.save(model=Part(a=shared, b=Part(c=shared)))
    other = _variable(2)
    checkpoint_graph.check_fits(
        prefix, {'model': Part(a=other, b=Part(c=other))})

  def test_long_lists_are_cut(self):
    prefix = self.save(model=_network([2]))
    with self.assertRaisesRegex(CheckpointError, r'\.\.\. and 12 more'):
      checkpoint_graph.check_fits(prefix, {'model': _network([2] * 21)})

  def test_missing_object(self):
    prefix = self.save(model=_network([2]))
    with self.assertRaisesRegex(
        CheckpointError, 'has no object agent/world_model: expected agent, '
        'found model'):
      checkpoint_graph.check_fits(prefix, {'agent/world_model': _network([2])})

  @parameterized.parameters(0, 20)
  def test_damaged_index(self, size):
    prefix = self.save(model=_network([2]))
    os.truncate(prefix + '.index', size)
    with self.assertRaisesRegex(CheckpointError, 'ckpt-1 is not a readable'):
      checkpoint_graph.check_fits(prefix, {'model': _network([2])})

  def test_missing_files(self):
    with self.assertRaisesRegex(CheckpointError, '/no/ckpt-1 is not a readabl'):
      checkpoint_graph.check_fits('/no/ckpt-1', {})

  def test_names(self):
    names = checkpoint_graph.named_variables(_network([2, 3]), 'a')
    self.assertCountEqual(names, [
        'a/layers/0', 'a/layers/1', 'a/norm/gamma', 'a/norm/beta',
        'a/norm/moving_mean', 'a/norm/moving_variance'])


if __name__ == '__main__':
  tf.test.main()
