"""Tests of image augmentation."""

import numpy as np
import tensorflow as tf

from xtra_tf.numerics import augmentation


def _padded_crops(image, padding):
  """All images that the official way, pad and crop, can give."""
  padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)],
                  mode='edge')
  height, width, _ = image.shape
  return [padded[y:y + height, x:x + width]
          for y in range(2 * padding + 1) for x in range(2 * padding + 1)]


class AugmentationTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self._images = np.random.default_rng(0).uniform(
        size=[200, 6, 5, 2]).astype(np.float32)

  def test_shift_is_pad_and_crop_and_reaches_every_place(self):
    shifted = augmentation.random_shift(
        tf.constant(self._images), 1, tf.constant([1, 2])).numpy()
    places = []
    for image, found in zip(self._images, shifted):
      matches = [i for i, crop in enumerate(_padded_crops(image, 1))
                 if np.array_equal(crop, found)]
      self.assertLen(matches, 1)
      places.append(matches[0])
    counts = np.bincount(places, minlength=9)
    # 200 draws over 9 places: 22 each, give or take 5 standard deviations.
    self.assertAllInRange(counts, 4, 45)

  def test_same_seed_same_images(self):
    images = tf.constant(self._images)
    for fn in (lambda s: augmentation.random_shift(images, 2, s),
               lambda s: augmentation.random_intensity(images, 0.1, s)):
      first = fn(tf.constant([1, 2]))
      self.assertAllEqual(first, fn(tf.constant([1, 2])))
      self.assertNotAllClose(first, fn(tf.constant([1, 3])))

  def test_intensity_is_one_bounded_factor_per_image(self):
    images = tf.ones([2000, 2, 2, 1])
    factors = augmentation.random_intensity(
        images, 0.05, tf.constant([3, 4])).numpy()
    self.assertAllEqual(factors, factors[:, :1, :1] * np.ones_like(images))
    noise = (factors[:, 0, 0, 0] - 1.) / 0.05
    self.assertAllInRange(noise, -2.0001, 2.0001)
    self.assertAllClose(np.mean(noise), 0., atol=0.1)
    # A normal clipped at 2 has standard deviation 0.9594.
    self.assertAllClose(np.std(noise), 0.9594, atol=0.06)

  def test_xla_draws_the_same_numbers(self):
    images = tf.constant(self._images)

    def both(seed):
      first, second = augmentation.split_seed(seed)
      return augmentation.random_intensity(
          augmentation.random_shift(images, 2, first), 0.1, second)
    seed = tf.constant([5, 6])
    self.assertAllClose(tf.function(both, jit_compile=True)(seed), both(seed))


if __name__ == '__main__':
  tf.test.main()
