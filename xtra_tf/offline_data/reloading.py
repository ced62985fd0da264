"""Fills a played task's table again, from what an earlier session played."""

import itertools
from typing import Iterator, Mapping, Optional, Sequence, Tuple

from xtra_tf.episodes import Episode, EpisodeLog, StepRow, episodes_ahead
from xtra_tf.offline_data.loading import check_loadable
from xtra_tf.replay import SegmentWriter

_Place = Tuple[StepRow, int, int]  # row, number of its episode, its step


def reload_played(log: EpisodeLog, writers: Sequence[SegmentWriter],
                  open_games: Mapping[int, Episode],
                  in_order: bool = False) -> None:
  """Writes a log into a table, its unfinished games by those who go on.

  Args:
    log: of one writer per slot, numbered by slot; it may be empty.
    writers: of the table, one per slot; they stay open.
    open_games: {slot: the rows so far of its unfinished game}, the last of its
      log. Of these the log itself holds a version that is cut off.
    in_order: rows go in as they were played, one of each slot in turn, so that
      a table that numbers its items has the same numbers as before. All slots
      must have as many rows.

  Raises:
    DataFileError: a record is damaged.
    IncompatibleDataError: the log is another task's.
    UsageError: the table would need more memory than there is.
    UnreachableError: the server does not accept data.
  """
  if not log.num_steps:
    return
  check_loadable(log, writers[0])
  if in_order:
    by_slot = [_rows(log.of_writer(slot), open_games.get(slot))
               for slot in range(len(writers))]
    for turn in itertools.zip_longest(*by_slot):
      for slot, place in enumerate(turn):
        if place is not None:
          writers[slot].append(*place)
    return
  unfinished = {game.number for game in open_games.values()}
  for episode in episodes_ahead(log):
    if episode.number not in unfinished:
      writers[0].load(episode)
  for slot, game in open_games.items():
    writers[slot].load(game)


def _rows(log: EpisodeLog, open_game: Optional[Episode]) -> Iterator[_Place]:
  """All rows of one slot, in order."""
  for episode in log.episodes():
    if open_game is not None and episode.number == open_game.number:
      episode = open_game
    for step in range(len(episode.real)):
      yield episode.row(step), episode.number, step
