from absl.testing import absltest, parameterized
import tensorflow as tf

from xtra_tf.errors import StorageError
from xtra_tf.runs.tensorflow_writes import as_storage_error


class AsStorageErrorTest(parameterized.TestCase):

  @parameterized.parameters(
      (tf.errors.ResourceExhaustedError(None, None, 'x'), 'No space left: /a,'),
      (tf.errors.PermissionDeniedError(None, None, 'x'), 'Permission denied'),
      (OSError(5, 'Input/output error'), 'Cannot write /a: Input/output error'))
  def test_translation(self, error, message):
    with self.assertRaisesRegex(StorageError, message):
      with as_storage_error('/a'):
        raise error

  def test_what_is_needed_is_said(self):
    with self.assertRaisesRegex(StorageError, 'No space left: /a, needed 3.0 M'
                                r'iB, free [\d.]+ .iB'):
      with as_storage_error('/a', 3 * 2**20):
        raise tf.errors.ResourceExhaustedError(None, None, 'x')

  def test_other_errors_pass(self):
    with self.assertRaises(KeyError):
      with as_storage_error('/a'):
        raise KeyError


if __name__ == '__main__':
  absltest.main()
