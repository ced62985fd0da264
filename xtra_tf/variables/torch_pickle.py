"""The pickle inside a PyTorch state dict, understood without running it.

A pickle is a program. Python's Unpickler executes it, and even with a list of
allowed names ten bytes of it can take gigabytes. Here its opcodes are read one
by one, by an interpreter that knows those of a state dict and no others: it
imports nothing, calls nothing, and makes only strings, numbers, tuples,
dictionaries and descriptions of tensors.
Source: Python `Lib/pickletools.py`; PyTorch `torch/serialization.py`,
`torch/_utils.py` (`_rebuild_tensor_v2`).
"""

import pickletools
import struct
from typing import (
  Any,
  Callable,
  Dict,
  Iterator,
  List,
  NamedTuple,
  NoReturn,
  Tuple,
)

from xtra_tf.errors import DataFileError

# A state dict of XTRA's largest network takes 12 000.
MAX_OPCODES = 100_000
_MAX_STRING = 1024
_MAX_TUPLE = 8
_MAX_MARKS = 8
_MAX_INTEGER = 2**62

# NumPy's names of the numbers in a storage.
STORAGE_DTYPES = {
    'torch.DoubleStorage': 'float64', 'torch.FloatStorage': 'float32',
    'torch.HalfStorage': 'float16', 'torch.LongStorage': 'int64',
    'torch.IntStorage': 'int32', 'torch.ByteStorage': 'uint8',
    'torch.BoolStorage': 'bool'}
ORDERED_DICT = 'collections.OrderedDict'
REBUILD_TENSOR = 'torch._utils._rebuild_tensor_v2'
_ALLOWED = {ORDERED_DICT, REBUILD_TENSOR, *STORAGE_DTYPES}


class Storage(NamedTuple):
  """A run of numbers in the file."""
  key: str
  dtype: str
  length: int


class TensorView(NamedTuple):
  """How a tensor lies in a storage; nothing about it has been checked."""
  storage: Storage
  offset: int  # in numbers, as the strides
  shape: Tuple[int, ...]
  stride: Tuple[int, ...]


class PickledStateDict(NamedTuple):
  """What data.pkl says."""
  tensors: Dict[str, TensorView]
  versions: Dict[str, int]  # {module: version of its layout}


class _Name(NamedTuple):
  """A name out of a module. It is never looked up."""
  text: str


_MARK = object()


def interpret(data: bytes, path: str) -> PickledStateDict:
  """Reads data.pkl.

  Args:
    data: its content.
    path: the file that it is in, for messages.

  Returns:
    The state dict. Shapes, strides and offsets are not negative; whether they
    fit the storage is for the caller to check.

  Raises:
    DataFileError: it is damaged, no state dict, or asks for anything else.
  """
  return _Interpreter(path).run(data)


class _Interpreter:
  """A stack and a memo, as in Python's Unpickler, and a list of opcodes."""

  def __init__(self, path: str):
    self._path = path
    self._stack: List[Any] = []
    self._marks: List[int] = []
    self._memo: Dict[int, Any] = {}
    self._position = 0
    self._operations: Dict[str, Callable[[Any], None]] = {
        'PROTO': self._check_protocol, 'MARK': self._mark,
        'GLOBAL': self._name, 'REDUCE': self._reduce, 'BUILD': self._build,
        'BINPERSID': self._persistent,
        'EMPTY_DICT': lambda _: self._stack.append({}),
        'SETITEM': lambda _: self._set_items(self._take(2)),
        'SETITEMS': lambda _: self._set_items(self._take_marked()),
        'EMPTY_TUPLE': lambda _: self._stack.append(()),
        'TUPLE1': lambda _: self._tuple(self._take(1)),
        'TUPLE2': lambda _: self._tuple(self._take(2)),
        'TUPLE3': lambda _: self._tuple(self._take(3)),
        'TUPLE': lambda _: self._tuple(self._take_marked()),
        'BINUNICODE': self._string, 'BININT': self._integer,
        'BININT1': self._integer, 'BININT2': self._integer,
        'LONG1': self._integer,
        'NEWTRUE': lambda _: self._stack.append(True),
        'NEWFALSE': lambda _: self._stack.append(False),
        'BINPUT': self._put, 'LONG_BINPUT': self._put,
        'BINGET': self._get, 'LONG_BINGET': self._get}

  def run(self, data: bytes) -> PickledStateDict:
    """Interprets opcodes up to the end, and what they leave behind."""
    for count, (name, argument, position) in enumerate(self._opcodes(data)):
      self._position = position
      if count >= MAX_OPCODES:
        self._refuse(f'has more than {MAX_OPCODES} opcodes')
      if name == 'STOP':
        if position + 1 != len(data):
          self._refuse('goes on after its end')
        break
      if name not in self._operations:
        self._refuse(f'uses the opcode {name}')
      self._operations[name](argument)
    if len(self._stack) != 1 or self._marks:
      self._refuse('leaves things behind')
    return self._state_dict(self._stack[0])

  def _opcodes(self, data: bytes) -> Iterator[Tuple[str, Any, int]]:
    try:
      for opcode, argument, position in pickletools.genops(data):
        yield opcode.name, argument, position or 0
    except (ValueError, struct.error, OverflowError, KeyError,
            IndexError) as error:
      # The text of the error may quote the file at any length.
      self._refuse(f'is damaged ({str(error)[:80]})')

  def _refuse(self, reason: str) -> NoReturn:
    raise DataFileError(
        self._path, f'its data.pkl {reason} (byte {self._position} of it). '
        'Expected a plain state dict: names and tensors, as '
        'torch.save(model.state_dict(), path) writes them. Nothing in the file '
        'has been run.')

  def _take(self, count: int) -> List[Any]:
    """The topmost values, which must lie above the last mark."""
    floor = self._marks[-1] if self._marks else 0
    if len(self._stack) - floor < count:
      self._refuse('takes more from its stack than there is')
    taken = self._stack[-count:]
    del self._stack[-count:]
    return taken

  def _take_marked(self) -> List[Any]:
    if not self._marks:
      self._refuse('takes a mark that is not there')
    start = self._marks.pop()
    taken = self._stack[start:]
    del self._stack[start:]
    return taken

  def _check_protocol(self, version: int) -> None:
    if version != 2 or self._position:
      self._refuse(f'has pickle protocol {version}, expected 2')

  def _mark(self, _: None) -> None:
    if len(self._marks) >= _MAX_MARKS:
      self._refuse(f'nests more than {_MAX_MARKS} levels')
    self._marks.append(len(self._stack))

  def _put(self, index: int) -> None:
    # A dictionary, not a list: an index of 4e8 costs nothing.
    self._memo[index] = self._take(1)[0]
    self._stack.append(self._memo[index])

  def _get(self, index: int) -> None:
    if index not in self._memo:
      self._refuse('reads a memo that was never written')
    self._stack.append(self._memo[index])

  def _string(self, text: str) -> None:
    if len(text) > _MAX_STRING:
      self._refuse(f'has a string of {len(text)} characters')
    self._stack.append(text)

  def _integer(self, value: int) -> None:
    if abs(value) > _MAX_INTEGER:
      self._refuse('has a number of more than 62 bits')
    self._stack.append(value)

  def _tuple(self, values: List[Any]) -> None:
    if len(values) > _MAX_TUPLE:
      self._refuse(f'has a tuple of {len(values)} values')
    self._stack.append(tuple(values))

  def _name(self, text: str) -> None:
    # genops separates module and name by one space.
    name = text.replace(' ', '.')
    if name not in _ALLOWED:
      self._refuse(f'asks for {name[:_MAX_STRING]!r}, a name that is not on '
                   'the list of harmless ones')
    self._stack.append(_Name(name))

  def _set_items(self, items: List[Any]) -> None:
    (target,) = self._take(1)
    if type(target) is not dict or len(items) % 2:
      self._refuse('sets items of something else than a dictionary')
    for key, value in zip(items[::2], items[1::2]):
      if type(key) is not str:
        self._refuse('has a key that is no string')
      if key in target:
        self._refuse(f'has two entries {key!r}')
      target[key] = value
    self._stack.append(target)

  def _persistent(self, _: None) -> None:
    (identity,) = self._take(1)
    if not (_matches(identity, str, _Name, str, str, int)
            and identity[0] == 'storage'
            and identity[1].text in STORAGE_DTYPES and identity[4] >= 0):
      self._refuse('refers to something else than a storage')
    _, name, key, _, count = identity
    self._stack.append(Storage(key, STORAGE_DTYPES[name.text], count))

  def _reduce(self, _: None) -> None:
    callee, arguments = self._take(2)
    if type(callee) is not _Name or type(arguments) is not tuple:
      self._refuse('calls something that has no name')
    if callee.text == ORDERED_DICT and arguments == ():
      self._stack.append({})
    elif callee.text == REBUILD_TENSOR:
      self._stack.append(self._tensor(arguments))
    else:
      self._refuse(f'calls {callee.text} with other arguments than a state '
                   'dict has')

  def _tensor(self, arguments: Tuple[Any, ...]) -> TensorView:
    if not (_matches(arguments, Storage, int, tuple, tuple, bool, dict)
            and not arguments[5]):
      self._refuse('builds a tensor of other parts than a state dict has')
    storage, offset, shape, stride, _, _ = arguments
    numbers = (offset, *shape, *stride)
    if (len(shape) != len(stride)
        or not all(type(n) is int and n >= 0 for n in numbers)):
      self._refuse('has a tensor whose shape and strides are no sizes')
    return TensorView(storage, offset, shape, stride)

  def _build(self, _: None) -> None:
    """Only `OrderedDict._metadata`, which holds versions of modules."""
    target, state = self._take(2)
    if type(target) is not dict or type(state) is not dict or (
        list(state) != ['_metadata']) or type(state['_metadata']) is not dict:
      self._refuse('sets attributes that a state dict does not have')
    self._stack.append(_WithMetadata(target, state['_metadata']))

  def _state_dict(self, value: Any) -> PickledStateDict:
    metadata: Dict[str, Any] = {}
    if type(value) is _WithMetadata:
      value, metadata = value
    if type(value) is not dict:
      self._refuse('holds no dictionary')
    for name, tensor in value.items():
      if type(tensor) is not TensorView:
        self._refuse(f'has an entry {name!r} that is no tensor')
    versions = {}
    for name, entry in metadata.items():
      if type(entry) is not dict or not (
          set(entry) <= {'version'} and type(entry.get('version', 0)) is int):
        self._refuse(f'has metadata of {name!r} that is no version')
      if entry:
        versions[name] = entry['version']
    return PickledStateDict(value, versions)


class _WithMetadata(NamedTuple):
  """A state dict whose attributes have been set."""
  entries: Dict[str, Any]
  metadata: Dict[str, Any]


def _matches(values: Any, *types: type) -> bool:
  """Whether something is a tuple of exactly these types."""
  return (type(values) is tuple and len(values) == len(types)
          and all(type(v) is t for v, t in zip(values, types)))
