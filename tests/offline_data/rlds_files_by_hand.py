"""Files of tensorflow-datasets' layout, written without that library."""

import json
import os

import numpy as np
import tensorflow as tf

from tests.offline_data import synthetic_episodes

_CLASSES = 'tensorflow_datasets.core.features.'
SHAPE = (12, 10, 1)
NAME = 'rlu_atari_checkpoints_ordered'


def tensor(dtype, *shape):
  dimensions = {'dimensions': [str(n) for n in shape]} if shape else {}
  return {'pythonClassName': f'{_CLASSES}tensor_feature.Tensor',
          'tensor': {'dtype': dtype, 'encoding': 'none', 'shape': dimensions}}


def image(*shape):
  return {'pythonClassName': f'{_CLASSES}image_feature.Image',
          'image': {'dtype': 'uint8', 'encodingFormat': 'png',
                    'shape': {'dimensions': [str(n) for n in shape]}}}


def dictionary(**features):
  return {'pythonClassName': f'{_CLASSES}features_dict.FeaturesDict',
          'featuresDict': {'features': features}}


def features(observation=None, **steps):
  """features.json of RL Unplugged's Atari, as RlU 1.1.0 has it."""
  columns = {
      'observation': observation or image(*SHAPE), 'action': tensor('int64'),
      'reward': tensor('float32'), 'discount': tensor('float32'),
      'is_first': tensor('bool'), 'is_last': tensor('bool'),
      'is_terminal': tensor('bool'), **steps}
  columns = {k: v for k, v in columns.items() if v is not None}
  return dictionary(
      steps={'pythonClassName': f'{_CLASSES}dataset_feature.Dataset',
             'sequence': {'feature': dictionary(**columns), 'length': '-1'}},
      checkpoint_id=tensor('int64'), episode_id=tensor('int64'),
      episode_return=tensor('float32'))


def information(splits, **changes):
  """dataset_info.json; splits is {name: episodes of each shard}."""
  return {
      'name': NAME, 'configName': 'Pong_run_1', 'version': '1.1.0',
      'fileFormat': 'tfrecord', 'moduleName': 'evil.builder',
      'splits': [
          {'name': name, 'shardLengths': [str(n) for n in lengths],
           'numBytes': '1',
           'filepathTemplate': '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'}
          for name, lengths in splits.items()], **changes}


def png(array):
  return tf.io.encode_png(array).numpy()


def episode(count, end='terminal', first=0, shape=SHAPE):
  """Columns of an episode of `count` steps; its last action means nothing."""
  steps = range(first, first + count)
  flags = {name: np.zeros([count], int)
           for name in ('is_first', 'is_last', 'is_terminal')}
  flags['is_first'][0] = 1
  flags['is_last'][-1] = end != 'cut'
  flags['is_terminal'][-1] = end == 'terminal'
  discount = np.ones([count], np.float32)
  if end == 'terminal':
    discount[-2:] = 0
  undefined = [5555], [np.nan]  # action and reward of the last step
  return {
      'observation': [png(synthetic_episodes.frame(s, shape)) for s in steps],
      'action': [synthetic_episodes.action(s) for s in steps][:-1]
                + undefined[0],
      'reward': [7 * synthetic_episodes.reward(s) for s in steps][:-1]
                + undefined[1],
      'discount': discount, **flags}


def example(columns, **metadata):
  """A serialized tf.train.Example."""
  values = {f'steps/{name}': column for name, column in columns.items()}
  values.update({'checkpoint_id': [0], 'episode_id': [1],
                 'episode_return': [0.]}, **metadata)
  feature = {}
  for name, column in values.items():
    if isinstance(column[0], bytes):
      kind = {'bytes_list': tf.train.BytesList(value=column)}
    elif np.asarray(column).dtype.kind == 'f':
      kind = {'float_list': tf.train.FloatList(
          value=np.asarray(column).reshape(-1))}
    else:
      kind = {'int64_list': tf.train.Int64List(
          value=np.asarray(column, np.int64).reshape(-1))}
    feature[name] = tf.train.Feature(**kind)
  return tf.train.Example(features=tf.train.Features(feature=feature)
                          ).SerializeToString()


def shard(folder, split, index=0, of=1, name=NAME):
  return os.path.join(
      folder, f'{name}-{split}.tfrecord-{index:05d}-of-{of:05d}')


def write_shard(path, examples):
  with tf.io.TFRecordWriter(path) as writer:
    for content in examples:
      writer.write(content)


def write_json(folder, name, content):
  os.makedirs(folder, exist_ok=True)
  with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
    json.dump(content, file)


def write(folder, splits, feature_json=None, **changes):
  """A whole data set; splits is {name: [[example, ...] of a shard, ...]}."""
  write_json(folder, 'features.json', feature_json or features())
  write_json(folder, 'dataset_info.json', information(
      {name: [len(s) for s in shards] for name, shards in splits.items()},
      **changes))
  for name, shards in splits.items():
    for index, examples in enumerate(shards):
      write_shard(shard(folder, name, index, len(shards)), examples)
