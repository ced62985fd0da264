"""Tests of the video of a recorded game, on a tiny one."""

import os
import sys
from unittest import mock

from absl.testing import absltest
import cv2
import numpy as np
from PIL import Image

from xtra_tf import environments, tasks
from xtra_tf.errors import IncompatibleDataError, StorageError, UsageError
from xtra_tf.evaluation import video
from xtra_tf.evaluation.results import Recording

_TASK = tasks.get_task('tiny:catch')
_SEED_INDEX = 3


def _recording(steps):
  environment = environments.load(_TASK, num_envs=1, seed=0, training=False,
                                  first_index=_SEED_INDEX)
  environment.reset()
  actions, rewards = [], []
  for number in range(steps):
    actions.append(_TASK.legal_actions[number % 3])
    environment.step(np.array([actions[-1]], np.int32))
    rewards.append(float(environment.get_info().raw_reward[0]))
  environment.close()
  return Recording(_SEED_INDEX, tuple(actions), tuple(rewards))


def _frames_of_mp4(path):
  reader = cv2.VideoCapture(path)
  frames = []
  while True:
    more, frame = reader.read()
    if not more:
      return frames, reader.get(cv2.CAP_PROP_FPS)
    frames.append(frame[..., ::-1])


class VideoTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.recording = _recording(20)
    self.pictures = environments.render_game(
        _TASK, _SEED_INDEX, self.recording.actions)

  def path(self, name):
    return os.path.join(self.folder, 'made', name)

  def test_mp4_shows_every_step_in_its_colours(self):
    path = self.path('game.mp4')
    made = video.write_video(path, _TASK, self.recording)
    self.assertEqual(made, video.Video(path, 21, 20, 1))
    frames, rate = _frames_of_mp4(path)
    self.assertEqual((len(frames), rate), (21, 10))
    for frame, picture in zip(frames, self.pictures):
      self.assertEqual(frame.shape, (320, 320, 3))
      # Every second pixel: the picture was enlarged, and is lossy.
      shown = frame[::2, ::2].astype(int)
      self.assertLess(np.abs(shown - picture).mean(), 4)
      # Red is not blue.
      np.testing.assert_allclose(shown.mean((0, 1)), picture.mean((0, 1)),
                                 atol=1.2)
    self.assertEqual(os.listdir(os.path.dirname(path)), ['game.mp4'])

  def test_atari_is_shown_at_its_own_speed(self):
    for name, skip, rate in (('Alien', 4, 15), ('gym:CartPole-v1', 1, 10)):
      task = tasks.get_task(name)
      self.assertEqual(task.frame_skip, skip)
      self.assertEqual(video._steps_per_second(task), rate)

  def test_gif_of_a_short_game_shows_every_step(self):
    path = self.path('game.GIF')
    made = video.write_video(path, _TASK, self.recording)
    self.assertEqual(made, video.Video(path, 21, 20, 1))
    with Image.open(path) as image:
      # Equal pictures in a row become one that is shown longer.
      self.assertLessEqual(image.n_frames, 21)
      np.testing.assert_allclose(np.asarray(image.convert('RGB')).astype(int),
                                 self.pictures[0], atol=6)

  def test_gif_of_a_long_game_leaves_out_steps_but_not_the_end(self):
    with mock.patch.object(video, '_MAX_GIF_PICTURES', 4):
      made = video.write_video(self.path('game.gif'), _TASK, self.recording)
    # 0, 6, 12, 18 and 20.
    self.assertEqual((made.pictures, made.steps, made.stride), (5, 20, 6))

  def test_an_existing_file_is_replaced(self):
    path = self.path('game.mp4')
    video.check_video(path)
    with open(path, 'wb') as file:
      file.write(b'old')
    video.write_video(path, _TASK, self.recording)
    self.assertLen(_frames_of_mp4(path)[0], 21)

  def test_other_endings_are_refused(self):
    for name in ('game.avi', 'game', 'mp4'):
      with self.assertRaisesRegex(UsageError, f"as '.*{name}'. Expected a name "
                                  'that ends in .mp4 or .gif'):
        video.check_video(self.path(name))
    self.assertFalse(os.path.exists(os.path.join(self.folder, 'made')))

  def test_missing_packages_are_named(self):
    with mock.patch.dict(sys.modules, {'cv2': None}):
      with self.assertRaisesRegex(UsageError, r'\.mp4 needs the package cv2'):
        video.check_video(self.path('game.mp4'))
      video.check_video(self.path('game.gif'))

  def test_a_folder_that_cannot_be_made_is_said(self):
    with open(os.path.join(self.folder, 'made'), 'wb'):
      pass
    with self.assertRaises(StorageError):
      video.check_video(self.path('game.mp4'))

  def test_a_game_that_cannot_be_played_again_leaves_no_file(self):
    wrong = Recording(_SEED_INDEX, self.recording.actions, (0.5,) * 20)
    for name in ('game.mp4', 'game.gif'):
      with self.assertRaisesRegex(IncompatibleDataError, 'replayed step 0'):
        video.write_video(self.path(name), _TASK, wrong)
    self.assertEmpty(os.listdir(os.path.join(self.folder, 'made')))


if __name__ == '__main__':
  absltest.main()
