"""Which operations our gradient step spends its time in, as traced.

Times are those of the threads that computed, so with several threads they sum
up to more than the step lasted.
"""

import collections
import glob
import os
import tempfile
from typing import Any, Callable, Counter, Dict, Iterator, Tuple

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks.parties import serving, xtra_learner

_STEPS = 3  # that are traced
_WARM_UP = 2
_GRADIENT = 'gradient_tape/'
# What oneDNN's kernels and later versions add to an operation's name.
_PREFIXES = ('_MklNative', '_Mkl', '_Fused', 'PadWith')
_SUFFIXES = ('Ex', 'V3', 'V2')


def measure(case: Dict[str, Any]) -> Dict[str, Any]:
  """Traces steps of `xtra_learner`'s case.

  Returns:
    `operations`: [[operation, ms a step, calls a step], ...], longest first.
  """
  call = xtra_learner.prepare(case)
  for _ in range(_WARM_UP):
    call()
  milliseconds: Dict[str, float] = collections.defaultdict(float)
  calls: Counter[str] = collections.Counter()
  for operation, duration in _traced(call):
    milliseconds[operation] += duration
    calls[operation] += 1
  return {'operations': [
      [operation, total / _STEPS, calls[operation] / _STEPS]
      for operation, total in sorted(
          milliseconds.items(), key=lambda item: -item[1])]}


def _traced(call: Callable[[], Any]) -> Iterator[Tuple[str, float]]:
  """(operation, milliseconds) of all that ran."""
  with tempfile.TemporaryDirectory() as folder:
    options = tf.profiler.experimental.ProfilerOptions(
        host_tracer_level=2, python_tracer_level=0, device_tracer_level=0)
    with tf.profiler.experimental.Profile(folder, options):
      for _ in range(_STEPS):
        call()
    space = xplane_pb2.XSpace()
    for path in glob.glob(os.path.join(folder, '**', '*.xplane.pb'),
                          recursive=True):
      with open(path, 'rb') as file:
        space.MergeFromString(file.read())
  for plane in space.planes:
    for line in plane.lines:
      for event in line.events:
        name = plane.event_metadata[event.metadata_id].name
        # Only operations of the graph are called `path:Operation`.
        path, colon, operation = name.rpartition(':')
        if colon and not path.endswith(':') and ' ' not in operation:
          yield operation_name(path, operation), event.duration_ps / 1e9


def operation_name(path: str, kernel: str) -> str:
  """E.g. `Conv2D`, `MatMul (backward)`; kernels of one operation are one."""
  for prefix in _PREFIXES:
    kernel = kernel.removeprefix(prefix)
  for suffix in _SUFFIXES:
    kernel = kernel.removesuffix(suffix)
  is_marked = 'Grad' in kernel or 'Backprop' in kernel
  return kernel + (' (backward)' if path.startswith(_GRADIENT)
                   and not is_marked else '')


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """Nothing here is timed in pairs."""
  raise ValueError(f'A profile is measured, not timed; got {case}.')


if __name__ == '__main__':
  serving.serve(prepare, ('tensorflow', 'numpy'), measure)
