"""How files are damaged: what a bad copy or an enemy would do to bytes."""

import hypothesis
from hypothesis import strategies as st

# Values on which sizes and offsets turn over.
_EDGES = (b'\x00', b'\xff', b'\xff\xff\xff\xff', b'\x00\x00\x00\x80',
          b'\xff' * 8, b'\x00' * 8, b'9' * 20, b'-1', b'NaN', b'[', b'{', b'"',
          b"'", b'(', b'\n')


def fuzz(examples):
  """Hypothesis' settings: the same examples at every run."""
  return hypothesis.settings(
      max_examples=examples, deadline=None, derandomize=True, database=None,
      suppress_health_check=list(hypothesis.HealthCheck))


@st.composite
def _edit(draw):
  kind = draw(st.sampled_from(
      ('flip', 'put', 'insert', 'cut', 'truncate', 'repeat', 'swap')))
  return (kind, draw(st.floats(0, 1, exclude_max=True)),
          draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(0, 7)),
          draw(st.one_of(st.sampled_from(_EDGES), st.binary(max_size=12))))


def edits(most=4):
  """Some edits, for `apply`."""
  return st.lists(_edit(), min_size=1, max_size=most)


def apply(content, some):
  """Bytes after some edits."""
  data = bytearray(content)
  for kind, where, other, bit, value in some:
    place, second = int(where * len(data)), int(other * len(data))
    if kind == 'flip' and data:
      data[place] ^= 1 << bit
    elif kind == 'put':
      data[place:place + len(value)] = value
    elif kind == 'insert':
      data[place:place] = value
    elif kind == 'cut':
      del data[place:place + 1 + second % 40]
    elif kind == 'truncate':
      del data[place:]
    elif kind == 'repeat':
      data[place:place] = data[place:place + 1 + second % 200]
    elif kind == 'swap' and data:
      size = 1 + bit * 3
      one, two = (bytes(data[p:p + size]) for p in (place, second))
      data[place:place + size] = two
      data[second:second + size] = one
  return bytes(data)


# Any JSON, with numbers that no counter has.
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2**70, 2**70),
              st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6)
