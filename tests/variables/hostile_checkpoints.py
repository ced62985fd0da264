"""Files that pretend to be state dicts and mean harm, by what they try.

Written byte by byte: none of them is ever given to Python's own unpickler.
"""

import io
import struct
import zipfile

import numpy as np

from xtra_tf.variables import torch_writing

COMMAND = 'touch /tmp/xtra_tf_hostile_checkpoint'
_ARRAY = np.arange(6, dtype=np.float32).reshape([2, 3])


def archive(pickle, storages=None, *, more=(), root='archive',
            compression=zipfile.ZIP_STORED):
  """A zip file like torch.save's; `more` are (full name, data)."""
  if storages is None:
    storages = {'0': _ARRAY.tobytes()}
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, 'w', compression) as file:
    for name, data in [
        (f'{root}/data.pkl', pickle),
        *((f'{root}/data/{key}', data) for key, data in storages.items()),
        (f'{root}/version', b'3\n'), *more]:
      file.writestr(zipfile.ZipInfo(name), data, compression)
  return buffer.getvalue()


def text(string):
  data = string.encode()
  return b'X' + struct.pack('<I', len(data)) + data


def number(value):
  if 0 <= value < 256:
    return b'K' + struct.pack('<B', value)
  data = value.to_bytes(value.bit_length() // 8 + 1, 'little', signed=True)
  return b'\x8a' + struct.pack('<B', len(data)) + data


def numbers(*values):
  return b'(' + b''.join(map(number, values)) + b't'


def storage(key='0', count=6, kind='FloatStorage'):
  return (b'(' + text('storage') + f'ctorch\n{kind}\n'.encode() + text(key)
          + text('cpu') + number(count) + b'tQ')


HOOKS = b'ccollections\nOrderedDict\n)R'


def tensor(shape=(2, 3), stride=(3, 1), offset=0, hooks=HOOKS, where=None):
  return (b'ctorch._utils\n_rebuild_tensor_v2\n('
          + (storage() if where is None else where) + number(offset)
          + numbers(*shape) + numbers(*stride) + b'\x89' + hooks + b'tR')


def state_dict(*entries):
  """data.pkl with entries of (name, opcodes of the value)."""
  return (b'\x80\x02ccollections\nOrderedDict\n)R('
          + b''.join(text(name) + value for name, value in entries) + b'u.')


def call(module, name, *arguments):
  return (f'c{module}\n{name}\n('.encode() + b''.join(map(text, arguments))
          + b'tR')


def good():
  """What all of them are not."""
  return torch_writing.archive_bytes({'a.weight': _ARRAY}, {'': 1, 'a': 1})


def _calls():
  """Pickles that want a function run."""
  run = call('os', 'system', COMMAND)
  in_place = text(COMMAND) + b'\x85R'
  return {
      'os_system': b'\x80\x02' + run + b'.',
      'system_as_a_value': state_dict(('a', run)),
      'system_after_a_tensor': state_dict(('a', tensor()), ('b', run)),
      'posix_system': state_dict(('a', call('posix', 'system', COMMAND))),
      'eval': state_dict(('a', call('builtins', 'eval', '1 + 1'))),
      'exec': state_dict(('a', call('builtins', 'exec', 'import os'))),
      'old_builtins': state_dict(('a', call('__builtin__', 'eval', '1'))),
      'import': state_dict(('a', call('importlib', 'import_module', 'this'))),
      'popen': state_dict(('a', call('subprocess', 'Popen', COMMAND))),
      'socket': state_dict(('a', call('socket', 'create_connection', 'x'))),
      'getattr': state_dict(('a', b'cbuiltins\ngetattr\n(cos\nsystem\n'
                             + text('__call__') + b'tR')),
      'torch_load': state_dict(('a', call('torch', 'load', '/etc/passwd'))),
      'torch_hub': state_dict(('a', call('torch.hub', 'load', 'x', 'y'))),
      'name_in_a_name': state_dict(
          ('a', b'ctorch\n_utils.os.system\n' + in_place)),
      'numpy_reconstruct': state_dict(
          ('a', call('numpy.core.multiarray', '_reconstruct', 'x'))),
      'copyreg': state_dict(('a', call('copyreg', '_reconstructor', 'x'))),
      'parameter': state_dict(
          ('a', b'ctorch._utils\n_rebuild_parameter\n(' + run + b'\x89'
           + HOOKS + b'tR')),
      'inst': b"(S'" + COMMAND.encode() + b"'\nios\nsystem\n.",
      'obj': b'\x80\x02(cos\nsystem\n' + text(COMMAND) + b'o.',
      'newobj': b'\x80\x02cos\nsystem\n' + text(COMMAND) + b'\x85\x81.',
      'stack_global': (b'\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x'
                       b'\x85R.'),
      'extension': b'\x80\x02\x82\x01)R.',
      'call_of_a_string': state_dict(('a', text('os.system') + in_place)),
      'call_of_a_storage': state_dict(('a', b'ctorch\nFloatStorage\n'
                                       + numbers(10**11) + b'R')),
      'call_of_a_tensor': state_dict(('a', tensor() + in_place)),
      'build_on_a_name': state_dict(('a', b'cos\nsystem\n}b')),
      'build_attributes': (state_dict(('a', tensor()))[:-1] + b'}'
                           + text('__class__') + text('x') + b'sb.')}


def _arguments():
  """Allowed names with arguments that a state dict does not have."""
  items = b'(' + text('a') + text('b') + b't\x85\x85R'
  hooks = HOOKS + text('x') + b'cos\nsystem\ns'
  return {
      'ordered_dict_of_items': b'\x80\x02ccollections\nOrderedDict\n' + items
                               + b'.',
      'name_as_hook': state_dict(
          ('a', tensor(hooks=b'ctorch\nFloatStorage\n'))),
      'hostile_hooks': state_dict(('a', tensor(hooks=hooks))),
      'name_as_storage': state_dict(
          ('a', tensor(where=b'ccollections\nOrderedDict\n'))),
      'string_as_storage': state_dict(('a', tensor(where=text('/etc/passwd')))),
      'path_as_persistent_id': state_dict(('a', text('/etc/passwd') + b'Q')),
      'text_persistent_id': b'\x80\x02P/etc/passwd\n.',
      'module_as_persistent_id': state_dict(
          ('a', b'(' + text('module') + b'ctorch\nFloatStorage\n' + text('0')
           + text('/etc/passwd') + number(6) + b'tQ')),
      'storage_outside': state_dict(
          ('a', tensor(where=storage('../../etc/passwd')))),
      'storage_that_is_missing': state_dict(('a', tensor(where=storage('7')))),
      'storage_too_large': state_dict(
          ('a', tensor((10**6, 10**6), (10**6, 1),
                       where=storage(count=10**12)))),
      'storage_too_small': state_dict(('a', tensor(where=storage(count=3)))),
      'storage_of_another_type': state_dict(
          ('a', tensor(where=storage(kind='DoubleStorage')))),
      'unknown_storage': state_dict(
          ('a', tensor(where=storage(kind='UntypedStorage')))),
      'negative_count': state_dict(('a', tensor(where=storage(count=-6)))),
      'expanded': state_dict(('a', tensor((10**6, 10**6), (0, 0)))),
      'far_offset': state_dict(('a', tensor(offset=10**9))),
      'negative_offset': state_dict(('a', tensor(offset=-1))),
      'negative_stride': state_dict(('a', tensor(stride=(-3, 1)))),
      'negative_shape': state_dict(('a', tensor((-2, -3)))),
      'endless_shape': state_dict(('a', tensor((2**61, 2**61)))),
      'more_strides': state_dict(('a', tensor((6,), (1, 1)))),
      'long_strides': state_dict(('a', tensor((2, 3), (10**9, 1)))),
      'views_upon_views': state_dict(*[
          (f'a{i}', tensor((2,), (i + 1,))) for i in range(4)]),
      'shape_of_names': state_dict(
          ('a', tensor().replace(numbers(2, 3),
                                 b'(' + b'cos\nsystem\n' * 2 + b't', 1)))}


def _bombs():
  """Few bytes that ask for much memory or time."""
  laughs = text('ha') + b'q\x00' + b'h\x00h\x00h\x00\x87q\x000' * 60
  itself = b'\x80\x02}q\x00' + text('a') + b'h\x00s.'
  return {
      'memo_of_gigabytes': b'\x80\x02)r' + struct.pack('<I', 4 * 10**8) + b'.',
      'memo_of_more': b'\x80\x02)r' + struct.pack('<I', 2**32 - 1) + b'.',
      'memo_unwritten': b'\x80\x02j' + struct.pack('<I', 7) + b'.',
      'laughs': b'\x80\x02' + laughs + b'.',
      'marks': b'\x80\x02' + b'(' * 100_000 + b'.',
      'nested_tuples': b'\x80\x02)' + b'\x85' * 59_000 + b'.',
      'opcodes': b'\x80\x02' + b')' * 200_000 + b'.',
      'long_string': b'\x80\x02X' + struct.pack('<I', 2**31) + b'a.',
      'string_of_a_page': b'\x80\x02' + text('a' * 5000) + b'.',
      'long_bytes': b'\x80\x04\x8e' + struct.pack('<Q', 2**40) + b'.',
      'long_integer': b'\x80\x02\x8b' + struct.pack('<i', 2**30) + b'1.',
      'decimal_integer': b'\x80\x02L' + b'9' * 500_000 + b'L\n.',
      'wide_integer': state_dict(('a', tensor((2**2000, 1)))),
      'long_tuple': state_dict(('a', numbers(*[1] * 1000))),
      'frame': b'\x80\x04\x95' + struct.pack('<Q', 2**60) + b'.',
      'buffers': b'\x80\x05\x97\x97\x97.',
      'itself': itself,
      'stack_underflow': b'\x80\x02\x87.',
      'items_underflow': b'\x80\x02s.',
      'marks_underflow': b'\x80\x02t.',
      'reduce_underflow': b'\x80\x02R.',
      'through_the_mark': b'\x80\x02)((R.',
      'unfinished': b'\x80\x02}',
      'empty': b'',
      'unknown_opcode': b'\x80\x02\xff.',
      'goes_on': state_dict(('a', tensor())) + b'cos\nsystem\n.',
      'twice_the_same_key': state_dict(('a', tensor()), ('a', tensor())),
      'key_is_a_number': b'\x80\x02}' + number(1) + tensor() + b's.',
      'list': b'\x80\x02]q\x00.',
      'pickle_of_megabytes': b'\x80\x02' + b'0' * (3 * 2**20)}


def _zips():
  """Archives whose table of contents is not true."""
  plain = state_dict(('a', tensor()))
  whole = archive(plain)
  end = len(whole) - 22
  start, = struct.unpack_from('<I', whole, end + 16)

  def patched(offset, data):
    return whole[:offset] + data + whole[offset + len(data):]

  zip64 = (b'PK\x06\x06' + struct.pack('<Q2H2L4Q', 44, 30, 45, 0, 0, 10**9,
                                       10**9, 10**12, 0)
           + b'PK\x06\x07' + struct.pack('<LQL', 0, end, 1))
  flags = whole.index(b'PK\x01\x02') + 8
  second = whole.index(b'PK\x01\x02', flags)
  return {
      'traversal': archive(plain, more=[('archive/../../x', b'x')]),
      'absolute': archive(plain, more=[('/etc/passwd', b'x')]),
      'backslash': archive(plain, more=[('archive/..\\x', b'x')]),
      'no_name': archive(plain, more=[('archive//', b'')]),
      'long_name': archive(plain, more=[('archive/' + 'a' * 60_000, b'')]),
      'same_name': archive(plain, more=[('archive/data/0', b'x' * 24)]),
      'two_roots': archive(plain, more=[('other/version', b'3\n')]),
      'many_members': archive(
          plain, more=[(f'archive/{i}', b'') for i in range(12_000)]),
      'compressed_bomb': archive(b'\x80\x02' + b'N' * (64 * 2**20),
                                 compression=zipfile.ZIP_DEFLATED),
      'compressed_storage': archive(
          plain, {'0': bytes(64 * 2**20)}, compression=zipfile.ZIP_DEFLATED),
      'encrypted': patched(flags, b'\x01\x00'),
      'overlapping': patched(second + 42, b'\x00\x00\x00\x00'),
      'far_away': patched(second + 42, b'\xff\xff\xff\x7f'),
      'larger_than_the_file': patched(
          second + 20, struct.pack('<II', 2**31, 2**31)),
      'wrong_checksum': patched(whole.index(_ARRAY.tobytes()), b'\xff'),
      'directory_elsewhere': patched(end + 16, struct.pack('<I', start - 1)),
      'directory_of_gigabytes': patched(end + 12, struct.pack('<I', 2**31)),
      'many_claimed': patched(end + 8, struct.pack('<HH', 65535, 65535)),
      'zip64_lies': whole[:end] + zip64 + whole[end:],
      'comment': patched(end + 20, struct.pack('<H', 9)) + b'PK\x05\x06abcde',
      'no_pickle': archive(b'', more=[]).replace(b'data.pkl', b'data.pkx'),
      'big_endian': archive(plain, more=[('archive/byteorder', b'big')]),
      'bare_pickle': b'\x80\x02' + call('os', 'system', COMMAND) + b'.',
      'old_format': b'\x80\x02' + number(0x1950a86a20f9469cfc6c) + b'.',
      'nothing': b'', 'zeros': bytes(1000),
      'half': whole[:len(whole) // 2], 'without_its_last_byte': whole[:-1]}


def corpus():
  """{what it tries: content of the file}."""
  pickles = {**_calls(), **_arguments(), **_bombs()}
  return {**{f'pickle_{name}': archive(data)
             for name, data in pickles.items()},
          **{f'zip_{name}': data for name, data in _zips().items()}}
