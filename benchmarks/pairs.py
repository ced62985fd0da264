"""Two parties that take turns, and what the samples say."""

from typing import Any, Dict, List, Optional

import numpy as np

from benchmarks.party import Party
from benchmarks.records import Record


def compare(name: str, ours: Party, peer: Party, peer_name: str, pairs: int,
            threads: int, batch: Optional[int] = None,
            goal: Optional[float] = None, note: str = '') -> Record:
  """Takes samples in turn, A B B A, so that no party is always first.

  Args:
    name: of the record.
    ours: has been prepared.
    peer: has been prepared for the same work.
    peer_name: of the record.
    pairs: samples of each.
    threads: that each party has.
    batch: of the record.
    goal: least ratio.
    note: of the record.

  Returns:
    The medians, and the quartiles of the ratios pair by pair.
  """
  ours_ms: List[float] = []
  peer_ms: List[float] = []
  for pair in range(pairs):
    for party, samples in ([(ours, ours_ms), (peer, peer_ms)]
                           [::-1 if pair % 2 else 1]):
      samples.append(party.sample_ms())
  ratios = np.array(peer_ms) / np.array(ours_ms)
  low, high = np.quantile(ratios, [0.25, 0.75])
  ratio = float(np.median(peer_ms) / np.median(ours_ms))
  return Record(
      name=name, batch=batch, ours_ms=float(np.median(ours_ms)),
      peer=peer_name, peer_ms=float(np.median(peer_ms)), ratio=ratio,
      ratio_quartiles=(float(low), float(high)), pairs=pairs, goal=goal,
      reaches_goal=None if goal is None else ratio >= goal, threads=threads,
      versions={'ours': ours.versions, peer_name: peer.versions}, note=note)


def alone(name: str, ours: Party, samples: int, threads: int,
          batch: Optional[int] = None, **fields: Any) -> Record:
  """The median of our samples, where there is nobody to compare with."""
  times = [ours.sample_ms() for _ in range(samples)]
  versions: Dict[str, Dict[str, str]] = {'ours': ours.versions}
  return Record(name=name, batch=batch, ours_ms=float(np.median(times)),
                pairs=samples, threads=threads, versions=versions, **fields)
