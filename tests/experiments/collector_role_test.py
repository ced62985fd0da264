"""Shares of collectors, and what they remember of a server."""

import os

from absl.testing import absltest, parameterized

from xtra_tf.experiments.collector_role import CollectorPlace, FedGames


class PlaceTest(parameterized.TestCase):

  @parameterized.parameters(1, 2, 3, 7)
  def test_shares_make_up_the_whole_and_differ_by_one_at_most(self, count):
    places = [CollectorPlace('a:1', n, count, '') for n in range(count)]
    for env_steps in (0, 1, 5, 100, 101, 99_999):
      shares = [place.share(env_steps) for place in places]
      self.assertEqual(sum(shares), env_steps)
      self.assertLessEqual(max(shares) - min(shares), 1)

  def test_a_share_never_shrinks(self):
    place = CollectorPlace('a:1', 1, 3, '')
    shares = [place.share(n) for n in range(200)]
    self.assertEqual(shares, sorted(shares))

  def test_rows_are_counted_among_those_of_all_collectors(self):
    place = CollectorPlace('a:1', 1, 3, '')
    # Nothing is known of the others: they are as fast as this one.
    self.assertEqual(place.steps_of_all(10, {}), 30)
    told = {'0': 50, '1': 20, '2': 30}
    self.assertEqual(place.steps_of_all(20, told), 100)
    self.assertEqual(place.steps_of_all(25, told), 115)
    # A learner that went on from a log that lacked the newest steps.
    self.assertEqual(place.steps_of_all(15, told), 95)
    alone = CollectorPlace('a:1', 0, 1, '')
    self.assertEqual(alone.steps_of_all(7, {'0': 5}), 7)


class FedGamesTest(absltest.TestCase):

  def test_another_server_was_fed_nothing(self):
    path = os.path.join(self.create_tempdir().full_path, 'fed.json')
    fed = FedGames(path)
    self.assertEqual(fed.newest('first'), {})
    fed.write('first', {'0': 7})
    self.assertEqual(FedGames(path).newest('first'), {'0': 7})
    self.assertEqual(FedGames(path).newest('second'), {})


if __name__ == '__main__':
  absltest.main()
