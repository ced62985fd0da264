from absl.testing import absltest, parameterized

from xtra_tf.runs import settings


class CompareTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('equal', {'a': '1'}, {'a': '1'}, []),
      ('order_is_nothing', {'a': '1', 'b': '2'}, {'b': '2', 'a': '1'}, []),
      ('changed', {'a': '1'}, {'a': '2'}, ['a: 1 -> 2']),
      ('new', {}, {'a': '2'}, ['a: (not set) -> 2']),
      ('gone', {'a': '1'}, {}, ['a: 1 -> (not set)']),
      ('by_name', {'b': '1', 'a': '1'}, {'b': '2', 'a': '2'},
       ['a: 1 -> 2', 'b: 1 -> 2']))
  def test_changes(self, old, new, expected):
    changes = settings.compare_settings(old, new)
    self.assertEqual([str(change) for change in changes], expected)
    self.assertEqual(settings.settings_hash(old) == settings.settings_hash(new),
                     not expected)

  def test_error_shows_every_difference_and_what_to_do(self):
    changes = settings.compare_settings(
        {'BATCH_SIZE': '64'}, {'BATCH_SIZE': '32', 'Config.channels': '16'})
    error = settings.settings_changed_error('runs/a', changes)
    self.assertRegex(
        str(error), r'(?s)^runs/a holds a run that began with other settings:\n'
        r'  BATCH_SIZE: 64 -> 32\n  Config.channels: \(not set\) -> 16\n.*'
        r'found 2 settings changed.*another --root_dir.*--accept_config_change')


class PrivateTest(parameterized.TestCase):

  @parameterized.parameters(
      'api_key', 'flag:token', 'WANDB_API_KEY', 'my.secret', 'passwords',
      'apikey')
  def test_hidden(self, name):
    self.assertEqual(settings.hide_private({name: 'planted'}), {name: '***'})

  @parameterized.parameters(
      'flag:task_data:DonkeyKong', 'EfficientZeroConfig.channels',
      'Planner.keyframe', 'flag:monkey')
  def test_shown(self, name):
    self.assertEqual(settings.hide_private({name: 'x'}), {name: 'x'})

  @parameterized.parameters(
      ('python -m a --api_key=planted --seed=1',
       'python -m a --api_key=*** --seed=1'),
      ('python -m a --token planted', 'python -m a --token ***'),
      ("a --secret='two words' b", 'a --secret=*** b'),
      ('a --task_data=DonkeyKong=x', 'a --task_data=DonkeyKong=x'))
  def test_command(self, command, expected):
    self.assertEqual(settings.hide_private_flags(command), expected)


if __name__ == '__main__':
  absltest.main()
