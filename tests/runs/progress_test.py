import io
import re

from absl.testing import absltest, parameterized
from rich.console import Console

from xtra_tf.runs import progress
from xtra_tf.runs.progress import StageProgress


class Clock:

  def __init__(self):
    self.now = 100.

  def __call__(self):
    return self.now


def _console(width=80, **arguments):
  return Console(file=io.StringIO(), width=width, **arguments)


class FormatTest(parameterized.TestCase):

  @parameterized.parameters(
      (0, '0:00:00'), (61.9, '0:01:01'), (3600, '1:00:00'),
      (90061, '1 d 1:01:01'))
  def test_time(self, seconds, text):
    self.assertEqual(progress.format_time(seconds), text)

  @parameterized.parameters(
      (0.123, '0.12/s'), (12.34, '12.3/s'), (1234.5, '1,234/s'))
  def test_rate(self, rate, text):
    self.assertEqual(progress.format_rate(rate), text)

  @parameterized.parameters(
      ('loss', 2.31234, 'loss 2.312'), ('env_steps', 1200, 'env steps 1,200'),
      ('return', 12345.6, 'return 12,346'), ('game', 'Alien', 'game Alien'),
      ('loss', float('nan'), 'loss nan'), ('loss', float('inf'), 'loss inf'))
  def test_field(self, name, value, text):
    self.assertEqual(progress.format_field(name, value), text)


class RateMeterTest(absltest.TestCase):

  def test_only_the_last_minute_counts(self):
    meter = progress.RateMeter(0, 0.)
    for second in range(100):
      meter.update(second, float(second))
    self.assertAlmostEqual(meter.rate, 1.)
    for second in range(100, 200):
      meter.update(99 + 5 * (second - 99), float(second))
    self.assertAlmostEqual(meter.rate, 5.)

  def test_unknown_at_first(self):
    self.assertIsNone(progress.RateMeter(0, 5.).rate)

  def test_calls_at_every_step_keep_few_samples(self):
    meter = progress.RateMeter(0, 0.)
    for call in range(100_000):
      meter.update(call, call * 0.001)
    self.assertLess(len(meter._samples), 150)
    self.assertAlmostEqual(meter.rate, 1000., delta=1.)


class PlainTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.clock = Clock()
    self.console = _console(width=20)

  def lines(self):
    return self.console.file.getvalue().splitlines()

  def progress(self, **arguments):
    return StageProgress('Teacher: [alien]', console=self.console,
                         clock=self.clock, **arguments)

  def test_one_line_every_half_minute(self):
    with self.progress(total=1000) as bar:
      for second in range(1, 91):
        self.clock.now = 100. + second
        bar.update(second * 10, loss=1 / second)
    # Beginning, three in between, end; never wrapped to the width of 20.
    self.assertEqual(self.lines(), [
        'Teacher: [alien]: 0/1,000 updates (0%)',
        'Teacher: [alien]: 300/1,000 updates (30%), 10.0/s, 0:01:10 left, '
        'loss 0.03333',
        'Teacher: [alien]: 600/1,000 updates (60%), 10.0/s, 0:00:40 left, '
        'loss 0.01667',
        'Teacher: [alien]: 900/1,000 updates (90%), 10.0/s, 0:00:10 left, '
        'loss 0.01111',
        'Teacher: [alien]: 900/1,000 updates (90%), 10.0/s, in 0:01:30, '
        'loss 0.01111'])

  def test_earlier_sessions_do_not_count_for_the_rate(self):
    with self.progress(total=1000, start=500) as bar:
      self.clock.now += 30
      bar.update(560)
    self.assertEqual(
        self.lines()[1],
        'Teacher: [alien]: 560/1,000 updates (56%), 2.00/s, 0:03:40 left')
    self.assertEndsWith(self.lines()[2], '2.00/s, in 0:00:30')

  def test_time_left_knows_of_evaluations_in_between(self):
    with self.progress(total=1000) as bar:
      for done in range(1, 301):
        # Every hundredth is followed by an evaluation of 100 seconds.
        self.clock.now += 1. + 100. * (done % 100 == 1)
        bar.update(done)
      self.clock.now += 100.
      bar.update(301)
    *_, last, end = self.lines()
    del end
    # 300 things took 599 s, the first one left out: 699 take 1395 s.
    self.assertEqual(last, 'Teacher: [alien]: 301/1,000 updates (30%), '
                     '0.50/s, 0:23:15 left')

  def test_no_rate_while_nothing_is_done(self):
    with self.progress(total=10) as bar:
      self.clock.now += 31
      bar.update(0, env_steps=50)
    self.assertEqual(self.lines()[1], 'Teacher: [alien]: 0/10 updates (0%), '
                     'env steps 50')

  def test_nothing_to_do(self):
    with self.progress(total=0, unit='rows'):
      pass
    self.assertEqual(self.lines()[-1],
                     'Teacher: [alien]: 0/0 rows, in 0:00:00')

  def test_an_error_passes_through_and_is_told(self):
    with self.assertRaises(KeyError):
      with self.progress(total=2):
        raise KeyError
    self.assertEndsWith(self.lines()[-1], 'stopped after 0:00:00')


class TerminalTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.clock = Clock()

  def picture(self, width, **fields):
    """The state of a finetuning stage at half its way, as drawn."""
    console = _console(width, record=True)
    bar = StageProgress('Finetuning: Krull', total=8000, start=0,
                        console=_console(), clock=self.clock)
    with bar:
      self.clock.now += 100.
      bar.update(4000, **fields)
      console.print(bar.render())
    return console.export_text().splitlines()

  @parameterized.parameters(60, 80, 120, 200)
  def test_one_line_and_one_of_fields(self, width):
    lines = self.picture(width, loss=2.5, env_steps=1200)
    self.assertLen(lines, 2)
    self.assertRegex(
        lines[0], '^Finetuning: Krull [━╸╺ ]+ 4,000/8,000 updates 40.0/s '
        '0:01:40 left$')
    self.assertEqual(lines[1].rstrip(), '  loss 2.5   env steps 1,200')
    self.assertLessEqual(max(map(len, lines)), width)

  def test_half_of_the_bar_is_full(self):
    line, = self.picture(200)
    full, rest = re.match('Finetuning: Krull (━+)[╸╺]?( *) 4,0', line).groups()
    self.assertAlmostEqual(len(full), len(rest), delta=2)

  def test_no_fields_no_second_line(self):
    self.assertLen(self.picture(80), 1)

  def test_long_fields_are_cut(self):
    lines = self.picture(60, **{f'field_{i}': i for i in range(20)})
    self.assertLen(lines, 2)
    self.assertEndsWith(lines[1].rstrip(), '…')

  def test_is_live_in_a_terminal_and_stays_after_its_end(self):
    console = _console(80, force_terminal=True,
                       _environ={'TERM': 'xterm-256color'})
    with StageProgress('Student', total=2, console=console,
                       clock=self.clock) as bar:
      self.clock.now += 4.
      bar.update(2)
    text = console.file.getvalue()
    self.assertIn('in 0:00:04', text)
    self.assertIn('\x1b[?25l', text)  # the cursor was hidden
    self.assertIn('\x1b[?25h', text)  # and shown again

  def test_dumb_terminals_get_plain_lines(self):
    console = _console(80, force_terminal=True, _environ={'TERM': 'dumb'})
    with StageProgress('Student', total=2, console=console):
      pass
    self.assertNotIn('\x1b[?25l', console.file.getvalue())
    self.assertIn('Student: 0/2 updates (0%)', console.file.getvalue())

  def test_one_after_another_on_one_console(self):
    console = _console(80, force_terminal=True)
    for title in 'ab':
      with StageProgress(title, total=1, console=console) as bar:
        bar.update(1)


if __name__ == '__main__':
  absltest.main()
