"""Files of Minari's layouts, written without that library."""

import io
import json
import os

import h5py
import numpy as np
from PIL import Image
import pyarrow
from pyarrow import dataset as arrow_dataset

from tests.offline_data import synthetic_episodes

SHAPE = (12, 10, 3)


def box(shape=SHAPE, dtype='uint8', low=0, high=255):
  return json.dumps({'type': 'Box', 'dtype': dtype, 'shape': list(shape),
                     'low': np.full(shape, low).tolist(),
                     'high': np.full(shape, high).tolist()})


def discrete(n=6, start=0):
  return json.dumps({'type': 'Discrete', 'dtype': 'int64', 'start': start,
                     'n': n})


def ale_spec(game='Pong', **arguments):
  return json.dumps({
      'id': f'ALE/{game}-v5', 'entry_point': 'planted_module:Environment',
      'reward_threshold': None, 'nondeterministic': False,
      'max_episode_steps': None, 'order_enforce': True,
      'disable_env_checker': False, 'kwargs': arguments,
      'additional_wrappers': [], 'vector_entry_point': None})


def metadata(episodes, **changes):
  content = {
      'total_episodes': len(episodes),
      'total_steps': sum(len(e['rewards']) for e in episodes),
      'data_format': 'hdf5', 'observation_space': box(),
      'action_space': discrete(), 'env_spec': ale_spec(),
      'dataset_id': 'atari/pong/test-v0', 'minari_version': '0.5.3',
      'author': ['nobody'], 'algorithm_name': 'none', 'dataset_size': 0.1,
      'requirements': ['planted-package']}
  content.update(changes)
  return {k: v for k, v in content.items() if v is not None}


def episode(count, end='terminal', first=0, shape=SHAPE):
  """Columns of an episode of `count` actions."""
  steps = range(first, first + count)
  flags = {name: np.zeros([count], bool)
           for name in ('terminations', 'truncations')}
  flags['terminations'][-1] = end == 'terminal'
  flags['truncations'][-1] = end == 'truncated'
  return {
      'observations': np.array([synthetic_episodes.frame(s, shape)
                                for s in range(first, first + count + 1)]),
      'actions': np.array([synthetic_episodes.action(s) for s in steps]),
      'rewards': np.array([7 * synthetic_episodes.reward(s) for s in steps],
                          np.float64), **flags}


def jpeg(array):
  buffer = io.BytesIO()
  Image.fromarray(array).save(buffer, format='JPEG')
  return buffer.getvalue()


def write_metadata(folder, content):
  os.makedirs(folder, exist_ok=True)
  with open(os.path.join(folder, 'metadata.json'), 'w') as file:
    json.dump(content, file)


def write_hdf5(folder, episodes, **changes):
  """`folder`/data with everything."""
  data = os.path.join(folder, 'data')
  write_metadata(data, metadata(episodes, **changes))
  with h5py.File(os.path.join(data, 'main_data.hdf5'), 'w') as file:
    for number, columns in enumerate(episodes):
      group = file.create_group(f'episode_{number}')
      group.attrs.update({'id': number, 'seed': 5,
                          'total_steps': len(columns['rewards'])})
      for name, values in columns.items():
        group.create_dataset(name, data=values, chunks=True,
                             maxshape=(None, *np.shape(values)[1:]))
      group.create_group('infos')
  return os.path.join(data, 'main_data.hdf5')


def write_arrow(folder, episodes, data_format='arrow', **changes):
  """The layout that has one row more than steps, and a folder an episode."""
  data = os.path.join(folder, 'data')
  write_metadata(data, metadata(episodes, data_format=data_format, **changes))
  for number, columns in enumerate(episodes):
    rows = len(columns['observations'])
    frames = np.asarray(columns['observations'])
    padded = {name: np.pad(values, (0, rows - len(values)))
              for name, values in columns.items() if name != 'observations'}
    batch = pyarrow.RecordBatch.from_pydict({
        'episode_id': np.full([rows], number, np.int32),
        'observations': pyarrow.FixedSizeListArray.from_arrays(
            frames.reshape(-1), frames[0].size), **padded})
    arrow_dataset.write_dataset(
        batch, data, format=data_format, partitioning=['episode_id'],
        existing_data_behavior='overwrite_or_ignore')
    write_metadata(os.path.join(data, str(number)),
                   {'id': number, 'total_steps': rows - 1})
