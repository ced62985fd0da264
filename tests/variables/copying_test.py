from absl.testing import parameterized
import tensorflow as tf

from xtra_tf.errors import CheckpointError
from xtra_tf.testing.linear_world_model import LinearWorldModel
from xtra_tf.variables import copy_variables


class CopyVariablesTest(parameterized.TestCase, tf.test.TestCase):

  def models(self, **other):
    source = LinearWorldModel((2,), size=4, seed=1)
    source.norm.running_mean.assign(tf.fill([4], 5.))
    return source, LinearWorldModel((2,), **{'size': 4, 'seed': 2, **other})

  def test_all(self):
    source, target = self.models()
    copy_variables(source, target)
    for a, b in zip(source.variables, target.variables):
      self.assertAllEqual(a, b)
    self.assertAllEqual(target.norm.running_mean, tf.fill([4], 5.))

  def test_copies_are_independent(self):
    source, target = self.models()
    copy_variables(source, target)
    source.encoder.assign_add(tf.ones([2, 4]))
    self.assertNotAllClose(source.encoder, target.encoder)

  def test_parts(self):
    source, target = self.models()
    before = target.value_head.numpy()
    copy_variables(source, target, parts=('norm', 'encoder'))
    self.assertAllEqual(target.encoder, source.encoder)
    self.assertAllEqual(target.norm.running_mean, source.norm.running_mean)
    self.assertAllEqual(target.value_head, before)

  def test_other_shape_names_it_and_copies_nothing(self):
    source, target = self.models(num_actions=6)
    before = [v.numpy() for v in target.variables]
    with self.assertRaisesRegex(
        CheckpointError, r'differ in transition: the source has float32\[7, 4'
        r'\], the target float32\[10, 4\]. Expected models of the same'):
      copy_variables(source, target)
    for variable, value in zip(target.variables, before):
      self.assertAllEqual(variable, value)
    copy_variables(source, target, parts=('encoder',))  # this part is the same

  @parameterized.parameters(
      ('source', r'the source has float32\[1\], the target no such variable'),
      ('target', r'the source has no such variable, the target float32\[1\]'))
  def test_another_variable(self, where, message):
    source, target = self.models()
    {'source': source, 'target': target}[where].more = tf.Variable([1.])
    with self.assertRaisesRegex(CheckpointError, f'differ in more: {message}'):
      copy_variables(source, target)

  def test_unknown_part(self):
    with self.assertRaisesRegex(ValueError, "source has no part 'heads'"):
      copy_variables(*self.models(), parts=('heads',))

  def test_models_without_variables(self):
    with self.assertRaisesRegex(ValueError, 'no variables yet'):
      copy_variables(tf.keras.Sequential(), tf.keras.Sequential())


if __name__ == '__main__':
  tf.test.main()
