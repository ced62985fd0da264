"""Windows in a table against windows cut from the episode by hand."""

import collections

from absl.testing import parameterized
import numpy as np
import portpicker
import reverb
import tensorflow as tf

from xtra_tf.episodes import Episode
from xtra_tf.errors import IncompatibleDataError, UnreachableError, UsageError
from xtra_tf.replay import ReplayWriter, WindowSpec, probing, row_check
from xtra_tf.types import SCALARS

WINDOW = WindowSpec(stack=3, unroll_steps=2, td_steps=2,
                    observation_shape=(2, 2, 1), observation_dtype='uint8',
                    target_shape=(4,))


def make_episode(kinds, end='terminal', number=7, seed=0):
  """A letter per row: r real, l life loss, t terminal, u truncated (all real),
  0 not real."""
  random = np.random.default_rng(seed)
  count = len(kinds)

  def flag(letters):
    return np.array([k in letters for k in kinds])

  real = flag('rltu')
  return Episode(
      number=number, writer=0, end=end,
      observation=random.integers(0, 256, [count, 2, 2, 1]).astype(np.uint8),
      action=np.where(real, random.integers(0, 4, count), 0).astype(np.int32),
      search=random.integers(0, 9, [count, 4]).astype(np.float32),
      reward=np.where(real, random.integers(-1, 2, count), 0
                      ).astype(np.float32),
      raw_reward=random.normal(size=count).astype(np.float32),
      terminal=flag('t'), truncated=flag('u'), life_loss=flag('l'), real=real,
      root_value=random.normal(size=count).astype(np.float32),
      bootstrap_value=random.normal(size=count).astype(np.float32),
      has_search=real, env_step=100 + np.cumsum(real) - real)


def windows_by_hand(episode, window):
  """Every window of an episode, the slow and obvious way.

  Rows s..e are a segment, e the first row with real = 0; rows before s show
  frame s, rows behind e show frame e, and neither says anything else.
  """
  windows, begin = [], 0
  while begin < len(episode.real):
    last = next(i for i in range(begin, len(episode.real))
                if not episode.real[i])
    for anchor in range(begin, last):
      rows = []
      for place in range(window.length):
        index = anchor - (window.stack - 1) + place
        shown = min(max(index, begin), last)
        inside, real = begin <= index <= last, begin <= index < last
        broken_off = index == last - 1 and not (
            episode.terminal[index] or episode.life_loss[index])
        rows.append({
            'observation': episode.observation[shown],
            'action': episode.action[shown] * real,
            'search': episode.search[shown] * (
                inside and episode.has_search[shown]),
            'scalars': [
                episode.reward[shown] * real, episode.terminal[shown] * real,
                (episode.truncated[shown] or broken_off) * real,
                episode.life_loss[shown] * real, real,
                episode.root_value[shown] * inside,
                episode.bootstrap_value[shown] * inside,
                episode.has_search[shown] * inside],
            'position': [episode.number, shown, episode.env_step[shown]]})
      windows.append({k: np.stack([np.asarray(r[k]) for r in rows])
                      for k in rows[0]})
    begin = last + 1
  return windows


class ReplayWriterTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # Each item can be read once, in order.
    tables = [
        reverb.Table(
            name, reverb.selectors.Fifo(), reverb.selectors.Fifo(),
            max_size=1000, max_times_sampled=1,
            rate_limiter=reverb.rate_limiters.MinSize(1),
            signature=WINDOW.signature())
        for name in ('tiny:one', 'two')]
    cls.server = reverb.Server(tables, port=portpicker.pick_unused_port())
    cls.client = reverb.Client(f'localhost:{cls.server.port}')

  @classmethod
  def tearDownClass(cls):
    cls.server.stop()
    super().tearDownClass()

  def setUp(self):
    super().setUp()
    self.client.reset('tiny:one')

  def writer(self, window=WINDOW, priority_of_new=lambda *_: 1., **options):
    return ReplayWriter(self.client, 'tiny:one', window, priority_of_new,
                        **options)

  def items(self):
    """All items of the table; each has all rows."""
    count = self.client.server_info(2)['tiny:one'].current_size
    return [sample.data for sample in self.client.sample(
        'tiny:one', count, emit_timesteps=False, unpack_as_table_signature=True
        )] if count else []

  def assert_windows_equal(self, items, windows):
    self.assertEqual(len(items), len(windows))
    for number, (item, window) in enumerate(zip(items, windows)):
      self.assertEqual(sorted(item), sorted(window))
      for column in window:
        np.testing.assert_array_equal(
            item[column], window[column], f'{column} of window {number}')

  @parameterized.named_parameters(
      ('ordinary', 'rrrrrrrrrrrrt0', 'terminal'),
      ('life_losses', 'rrrrrrrl0rrrrrrrrl0rrrrrrrrrt0', 'terminal'),
      ('truncated', 'rrrrrrrrrrrru0', 'truncated'),
      ('cut', 'rrrrrrrrrrrrr0', 'cut'),
      ('shorter_than_a_window', 'rt0', 'terminal'),
      ('one_step', 'u0', 'truncated'), ('no_step', '0', 'cut'),
      ('life_lost_at_once', 'l0l0rrt0', 'terminal'),
      ('cut_at_a_no_op', 'rrrl0', 'cut'),
      ('cut_behind_a_no_op', 'rrrl00', 'cut'))
  def test_windows_are_those_cut_by_hand(self, kinds, end):
    episode = make_episode(kinds, end)
    writer = self.writer()
    writer.load(episode)
    writer.close()
    items = self.items()
    self.assert_windows_equal(items, windows_by_hand(episode, WINDOW))
    anchors = [int(item['position'][WINDOW.anchor, 1]) for item in items]
    self.assertEqual(anchors, list(np.flatnonzero(episode.real)))

  def test_episodes_follow_each_other(self):
    writer, windows = self.writer(), []
    for number in range(3):
      episode = make_episode('rrrl0rrt0', number=2**33 + number, seed=number)
      writer.load(episode)
      windows += windows_by_hand(episode, WINDOW)
    writer.close()
    self.assert_windows_equal(self.items(), windows)

  @parameterized.parameters(1, 3, 7, 20)
  def test_last_row_of_a_block_is_flagged_and_nothing_else(self, block_length):
    episode = make_episode('rrrrrrrl0rrrrrrrrrrrrt0')
    # Rows count from the first of the life; a life's last row is no block end.
    flagged = [row for start, end in ((0, 7), (9, 21))
               for row in range(start, end)
               if (row - start + 1) % block_length == 0]
    windows = windows_by_hand(episode, WINDOW)
    for window in windows:
      column = window['scalars'][:, SCALARS.index('truncated')]
      column[np.isin(window['position'][:, 1], flagged)] = 1.
      # Padding shows the row before a life as well.
      column[window['scalars'][:, SCALARS.index('real')] == 0.] = 0.
    writer = self.writer(block_length=block_length)
    writer.load(episode)
    writer.close()
    self.assert_windows_equal(self.items(), windows)

  @parameterized.named_parameters(('closed', True), ('next_episode', False))
  def test_data_that_break_off_are_truncated(self, close):
    episode = make_episode('rrrrrrr', number=1)
    writer = self.writer()
    for step in range(len(episode.real)):
      writer.append(episode.row(step), 1, step)
    other = make_episode('rt0', number=2)
    if not close:
      writer.load(other)
    writer.close()
    # As if the last row had been a final observation; its search stays.
    real = episode.real.copy()
    real[-1] = False
    windows = windows_by_hand(episode._replace(real=real, end='cut'), WINDOW)
    truncated = SCALARS.index('truncated')
    self.assertEqual(windows[-1]['scalars'][WINDOW.anchor, truncated], 1.)
    if not close:
      windows += windows_by_hand(other, WINDOW)
    self.assert_windows_equal(self.items(), windows)

  def test_absent_columns_are_zero_and_flagged(self):
    writer = self.writer()
    writer.load(make_episode('rrrrt0')._replace(
        search=None, root_value=None, bootstrap_value=None))
    writer.close()
    items = self.items()
    self.assertLen(items, 5)
    for item in items:
      self.assertAllEqual(item['search'], np.zeros_like(item['search']))
      self.assertAllEqual(item['scalars'][:, 5:], np.zeros([WINDOW.length, 3]))

  def test_vectors_and_no_stack(self):
    window = WindowSpec(stack=1, unroll_steps=1, td_steps=1,
                        observation_shape=(3,), observation_dtype='float32',
                        target_shape=(4,))
    table = reverb.Table(
        'vectors', reverb.selectors.Fifo(), reverb.selectors.Fifo(),
        max_size=9, max_times_sampled=1, signature=window.signature(),
        rate_limiter=reverb.rate_limiters.MinSize(1))
    server = reverb.Server([table], port=portpicker.pick_unused_port())
    writer = ReplayWriter(reverb.Client(f'localhost:{server.port}'), 'vectors',
                          window, lambda *_: 1.)
    episode = make_episode('rrt0')
    frames = np.random.default_rng(0).normal(size=[4, 3]).astype(np.float32)
    episode = episode._replace(observation=frames)
    writer.load(episode)
    writer.close()
    samples = list(reverb.Client(f'localhost:{server.port}').sample(
        'vectors', 3, emit_timesteps=False, unpack_as_table_signature=True))
    server.stop()
    self.assert_windows_equal(
        [s.data for s in samples], windows_by_hand(episode, window))

  @parameterized.named_parameters(
      ('ordinary', 2.5, 2.5), ('zero', 0., 1e-6), ('huge', 1e9, 1e6))
  def test_new_items_have_the_largest_priority(self, given, expected):
    writer = self.writer(priority_of_new=lambda *_: given)
    writer.load(make_episode('rrt0'))
    writer.close()
    sample = next(iter(self.client.sample('tiny:one', emit_timesteps=False)))
    self.assertAllClose(sample.info.priority, expected)

  @parameterized.named_parameters(
      ('nan', float('nan'), 'nan'), ('infinite', float('inf'), 'inf'),
      ('negative', -1., '-1.0'), ('array', np.ones([1]), 'array'))
  def test_priority_that_spoils_a_table(self, given, shown):
    writer = self.writer(priority_of_new=lambda *_: given)
    with self.assertRaisesRegex(
        IncompatibleDataError, f'table tiny:one has the priority .*{shown}'):
      writer.load(make_episode('rrt0'))
    # The table goes on.
    writer = self.writer()
    writer.load(make_episode('rrt0'))
    writer.close()
    self.assertNotEmpty(self.items())

  def test_item_is_there_as_soon_as_its_rows_are(self):
    writer = self.writer(priority_of_new=lambda *_: 1.)
    episode = make_episode('r' * 40)
    for step in range(40):
      writer.append(episode.row(step), 7, step)
    # Two rows wait, K + n are needed behind an anchor, 20 may be under way.
    self.assertGreaterEqual(
        self.client.server_info(2)['tiny:one'].current_size, 40 - 2 - 4 - 20)
    writer.close()
    self.assertEqual(self.client.server_info(2)['tiny:one'].current_size, 39)

  def test_row_that_does_not_fit(self):
    row = make_episode('r').row(0)
    writer = self.writer()
    with self.assertRaisesRegex(
        IncompatibleDataError, r'uint8\[3, 2, 1\], expected uint8\[2, 2, 1\]'):
      writer.append(row._replace(observation=np.zeros([3, 2, 1], np.uint8)),
                    0, 0)
    with self.assertRaisesRegex(IncompatibleDataError, 'float64'):
      writer.append(row._replace(observation=np.zeros([2, 2, 1])), 0, 0)
    with self.assertRaisesRegex(IncompatibleDataError, r'shape \[5\]'):
      writer.append(row._replace(search=np.zeros([5])), 0, 0)

  @parameterized.named_parameters(
      ('type_of_action', 'action', 1.5, 'action 1.5'),
      ('negative_action', 'action', -1, 'action -1'),
      ('large_action', 'action', 2**31, 'from 0 to 2147483647'),
      ('no_action', 'action', None, 'action None'),
      ('env_step', 'env_step', True, 'env_step True'),
      ('reward', 'reward', float('nan'), 'reward nan'),
      ('shape_of_reward', 'reward', np.zeros([1]), 'reward array'),
      ('no_reward', 'reward', None, 'reward None'),
      ('root_value', 'root_value', float('inf'), 'root_value inf'),
      ('text', 'bootstrap_value', '1', "bootstrap_value '1'"),
      ('flag', 'terminal', 1, 'terminal 1'),
      ('no_flag', 'has_search', None, 'has_search None'),
      ('no_observation', 'observation', None, 'observation of object'),
      ('type_of_search', 'search', np.array(['a'] * 4), 'target of <U1'),
      ('search', 'search', np.array([0, np.nan, 0, 0]), 'that holds nan'))
  def test_each_field_of_a_row(self, field, value, message):
    row = make_episode('r').row(0)
    with self.assertRaisesRegex(
        IncompatibleDataError, f'row for the table tiny:one has .*{message}'):
      self.writer().append(row._replace(**{field: value}), 0, 0)

  @parameterized.named_parameters(
      ('frames', 'observation', np.zeros([3, 2, 2, 1]), 'float64'),
      ('search', 'search', np.array([[0.] * 4] * 2 + [[0, 0, 0, np.nan]]),
       'that holds nan'),
      ('no_action', 'action', np.array([0, 1, -1]), 'action -1'),
      ('large_action', 'action', np.array([0, 1, 2**31]), 'action 2147483648'),
      ('type_of_action', 'action', np.array([0, 1, True], object),
       'action True'),
      ('env_step', 'env_step', np.array([0, 1, -3]), 'env_step -3'),
      ('reward', 'reward', np.array([0., 1., np.inf]), 'reward inf'),
      ('text', 'root_value', np.array([0., 1., '1'], object), "value '1'"),
      ('bootstrap', 'bootstrap_value', np.array([0., 1., np.nan]), 'value nan'),
      ('flag', 'life_loss', np.array([False, False, 2], object),
       'life_loss 2'))
  def test_column_of_an_episode(self, field, column, message):
    """Refused with the row's own text, once the rows before it are in."""
    episode = make_episode('rr0')
    self.assertTrue(row_check.episode_fits(WINDOW, episode))
    episode = episode._replace(**{field: column})
    self.assertFalse(row_check.episode_fits(WINDOW, episode))
    taken = []
    writer = self.writer()
    writer._take = lambda row, *_: taken.append(row)
    with self.assertRaisesRegex(
        IncompatibleDataError, f'row for the table tiny:one has .*{message}'):
      writer.load(episode)
    self.assertLen(taken, 0 if field == 'observation' else 2)

  def test_rows_of_an_episode_are_its_rows(self):
    episode = make_episode('rl0t0')._replace(bootstrap_value=None)
    rows = list(episode.rows())
    self.assertLen(rows, 5)
    for step, row in enumerate(rows):
      for name, value in episode.row(step)._asdict().items():
        np.testing.assert_array_equal(getattr(row, name), value, name)
      row_check.check_row('any', WINDOW, row)

  def test_fields_that_are_missing_or_too_many(self):
    row = make_episode('r').row(0)
    other = collections.namedtuple('Other', [
        *(name for name in row._fields if name != 'reward'), 'cost'])
    with self.assertRaisesRegex(
        IncompatibleDataError, r"missing \['reward'\], too many \['cost'\]"):
      self.writer().append(other(*row), 0, 0)

  def test_table_that_does_not_exist(self):
    with self.assertRaisesRegex(UsageError, "no table 'tiny:on'.*tiny:one"):
      ReplayWriter(self.client, 'tiny:on', WINDOW, lambda *_: 1.)

  def test_table_of_other_windows(self):
    other = WindowSpec(stack=3, unroll_steps=3, td_steps=2,
                       observation_shape=(2, 2, 3), observation_dtype='uint8',
                       target_shape=(4,))
    with self.assertRaisesRegex(
        IncompatibleDataError,
        r"observation: expected \(\(8, 2, 2, 3\), 'uint8'\), found "
        r"\(\(7, 2, 2, 1\), 'uint8'\)"):
      ReplayWriter(self.client, 'tiny:one', other, lambda *_: 1.)

  def test_no_server(self):
    address = f'localhost:{portpicker.pick_unused_port()}'
    with self.assertRaisesRegex(UnreachableError, f'{address} did not answer'):
      probing.probe(reverb.Client(address), timeout_seconds=1)

  def test_server_that_stops(self):
    server = reverb.Server(
        [reverb.Table('a', reverb.selectors.Fifo(), reverb.selectors.Fifo(),
                      max_size=9, signature=WINDOW.signature(),
                      rate_limiter=reverb.rate_limiters.MinSize(1))],
        port=portpicker.pick_unused_port())
    address = f'localhost:{server.port}'
    writer = ReplayWriter(reverb.Client(address), 'a', WINDOW, lambda *_: 1.,
                          timeout_seconds=1)
    episode = make_episode('rrrrrrrrrt0')
    writer.load(episode)
    server.stop()
    message = rf'{address} did not answer for 1(\.\d+)? s: .*table a'
    with self.assertRaisesRegex(UnreachableError, message):
      writer.load(episode)
