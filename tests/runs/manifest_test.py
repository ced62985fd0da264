import dataclasses
import os

from absl.testing import absltest, parameterized

from xtra_tf.errors import CheckpointError, DataFileError
from xtra_tf.runs import incidents
from xtra_tf.runs import manifest as manifest_lib
from xtra_tf.runs.manifest import Manifest


class ManifestTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.root = self.create_tempdir().full_path
    self.saves = os.path.join(self.root, 'checkpoints')
    self.manifests = os.path.join(self.root, 'manifests')
    self.logs = os.path.join(self.root, 'logs')
    os.makedirs(self.saves)

  def write(self, name, content=b'abc'):
    with open(os.path.join(self.saves, name), 'wb') as file:
      file.write(content)

  def save(self, step, with_manifest=True):
    names = [f'ckpt-{step}.data-00000-of-00001', f'ckpt-{step}.index']
    for name in names:
      self.write(name, f'{name} of {step}'.encode())
    if with_manifest:
      files = manifest_lib.describe_files(self.saves, names)
      manifest_lib.write_manifest(self.manifests, Manifest(
          step, 10 * step, files, {'x': 0.5}, 'hash'))

  def newest(self, logs=True):
    return manifest_lib.newest_manifest(
        self.manifests, self.saves, self.logs if logs else None)

  def test_round_trip(self):
    self.save(7)
    found = self.newest()
    self.assertEqual((found.step, found.env_steps, found.state['x'],
                      found.settings_hash), (7, 70, 0.5, 'hash'))
    self.assertRegex(found.time, r'^\d{4}-\d\d-\d\dT')
    # SHA-256 of `abc`, from the standard's own example.
    self.write('ckpt-8.index')
    described = manifest_lib.describe_files(self.saves, ['ckpt-8.index'])
    self.assertEqual(described['ckpt-8.index'], {
        'size': 3, 'sha256': 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb'
        '410ff61f20015ad'})

  def test_nothing_there(self):
    self.assertIsNone(self.newest())
    self.assertIsNone(manifest_lib.newest_manifest('/nowhere', '/nowhere'))

  def test_newest_is_by_number(self):
    for step in (9, 100, 20):
      self.save(step)
    self.assertEqual(self.newest().step, 100)
    self.assertEqual(manifest_lib.manifest_steps(self.manifests), [9, 20, 100])

  @parameterized.named_parameters(
      ('truncated', lambda p: os.truncate(p, 5), 'has 5 bytes, expected'),
      ('emptied', lambda p: os.truncate(p, 0), 'has 0 bytes, expected'),
      ('missing', os.unlink, 'is missing'),
      ('flipped', None, 'has another content than the one that was saved'))
  def test_damaged_save_is_passed_over_with_an_incident(self, harm, message):
    self.save(1)
    self.save(2)
    path = os.path.join(self.saves, 'ckpt-2.data-00000-of-00001')
    if harm:
      harm(path)
    else:
      with open(path, 'r+b') as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    self.assertEqual(self.newest().step, 1)
    incident, = incidents.read_incidents(self.logs)
    self.assertEqual((incident['skipped_step'], incident['used_step']), (2, 1))
    self.assertRegex(incident['problem'], f'step 2 is damaged.*{message}')
    self.newest(logs=False)
    self.assertLen(incidents.read_incidents(self.logs), 1)

  @parameterized.parameters('', '{', '[]', '{"format": 1}')
  def test_damaged_manifest_is_passed_over(self, text):
    self.save(1)
    self.save(2)
    with open(manifest_lib.manifest_path(self.manifests, 2), 'w') as file:
      file.write(text)
    self.assertEqual(self.newest().step, 1)
    self.assertRegex(incidents.read_incidents(self.logs)[0]['problem'],
                     '2.json: is')

  def test_other_format(self):
    self.save(2)
    path = manifest_lib.manifest_path(self.manifests, 2)
    content = manifest_lib.atomic.read_json(path)
    manifest_lib.atomic.write_json(path, {**content, 'format': 5})
    with self.assertRaisesRegex(DataFileError, 'has format 5, expected 1'):
      manifest_lib.read_manifest(path)

  def test_no_save_is_whole(self):
    for step in (1, 2):
      self.save(step)
      os.unlink(os.path.join(self.saves, f'ckpt-{step}.index'))
    with self.assertRaisesRegex(
        CheckpointError, r'(?s)No save in .*checkpoints is whole:.*ckpt-2.index'
        ' is missing.*ckpt-1.index is missing.*train this stage anew'):
      self.newest()

  def test_orphans_are_swept_and_nothing_else(self):
    self.save(1)
    self.save(2, with_manifest=False)
    self.write('ckpt-3.index')  # interrupted between its two files
    os.makedirs(os.path.join(self.saves, 'ckpt-4_temp', 'part'))
    self.write('checkpoint')
    self.write('checkpoint.tmp0123')
    self.write('ckpt-5.index.tempstate123')
    self.write('notes.txt')
    removed = manifest_lib.sweep_orphans(self.saves, self.manifests)
    self.assertLen(removed, 6)
    self.assertCountEqual(os.listdir(self.saves), [
        'ckpt-1.index', 'ckpt-1.data-00000-of-00001', 'checkpoint',
        'notes.txt'])

  def test_the_very_first_save_may_be_an_orphan(self):
    self.save(1, with_manifest=False)
    manifest_lib.sweep_orphans(self.saves, self.manifests)
    self.assertEmpty(os.listdir(self.saves))

  def test_lost_manifests_do_not_cost_the_saves(self):
    for step in (1, 2):
      self.save(step, with_manifest=False)
    with self.assertRaisesRegex(
        CheckpointError, 'saves of steps 1, 2, but .*manifests has no manifest'
        '.*Restore the manifests'):
      manifest_lib.sweep_orphans(self.saves, self.manifests)
    self.assertLen(os.listdir(self.saves), 4)

  def test_prune_follows_the_rotation(self):
    for step in (1, 2, 3):
      self.save(step)
    for step in (1, 3):
      for name in manifest_lib.save_files(self.saves)[step]:
        os.unlink(os.path.join(self.saves, name))
    manifest_lib.prune_manifests(self.manifests, self.saves)
    # 1 was rotated out; 3 is newer than any save, so it was lost.
    self.assertEqual(manifest_lib.manifest_steps(self.manifests), [2, 3])

  def test_is_frozen(self):
    with self.assertRaises(dataclasses.FrozenInstanceError):
      Manifest(1, 2, {}).step = 3


if __name__ == '__main__':
  absltest.main()
