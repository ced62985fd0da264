"""LightZero's network and search over the same Atari games.

The games are ale-py's vector environment with the preprocessing of ours: RGB at
96x96, every action for 4 frames, life loss without reset. LightZero's own
environment shows grey frames of 64x64 or 96x96 and steps one game at a time.
"""

from typing import Any, Callable, Dict

from ale_py import vector_env
import numpy as np
import torch

from benchmarks.parties import full_network, lightzero_network, serving

_STACK = full_network.OBSERVATION_SHAPE[-1] // 3
_NO_FRAME_LIMIT = 2**31 - 1


class _Acting:
  """Environments and search; a call is one step of every environment."""

  def __init__(self, case: Dict[str, Any]):
    torch.set_num_threads(len(serving.processors()))
    batch = case['batch']
    height, width, _ = full_network.OBSERVATION_SHAPE
    self._environments = vector_env.AtariVectorEnv(
        case['rom'], batch, num_threads=len(serving.processors()),
        max_num_frames_per_episode=_NO_FRAME_LIMIT, full_action_space=True,
        repeat_action_probability=0., img_height=height, img_width=width,
        grayscale=False, stack_num=1, frameskip=4, noop_max=31,
        episodic_life=False, life_loss_info=False, reward_clipping=False,
        use_fire_reset=False)
    self._model = lightzero_network.build_model()
    self._search = lightzero_network.build_search(case['num_simulations'])
    self._legal_actions = [list(case['legal_actions'])] * batch
    self._random = np.random.default_rng(0)
    frames: np.ndarray = self._environments.reset(seed=0)[0]
    # [B, S * 3, H, W], oldest frame first.
    self._stack = np.tile(_channels_first(frames), [1, _STACK, 1, 1])

  def __call__(self) -> None:
    visits, _ = lightzero_network.search(
        self._model, self._search,
        torch.from_numpy(self._stack.astype(np.float32) / 255.), self._random,
        self._legal_actions)
    actions = np.array([
        self._random.choice(legal, p=np.array(counts) / np.sum(counts))
        for legal, counts in zip(self._legal_actions, visits)], np.int32)
    frames, *_ = self._environments.step(actions)
    self._stack = np.concatenate(
        [self._stack[:, 3:], _channels_first(frames)], axis=1)


def _channels_first(frames: np.ndarray) -> np.ndarray:
  """[B, 1, H, W, 3] to [B, 3, H, W]."""
  return np.moveaxis(frames[:, 0], -1, 1)


def prepare(case: Dict[str, Any]) -> Callable[[], Any]:
  """One step of `case['batch']` environments of `case['rom']`."""
  return _Acting(case)


if __name__ == '__main__':
  serving.serve(prepare, ('lightzero', 'torch', 'ale-py', 'numpy'))
