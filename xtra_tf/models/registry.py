"""World models by the name of their family, as a checkpoint describes them."""

from typing import Any, Callable, Dict, Mapping, Optional

from xtra_tf.errors import UsageError, near_names
from xtra_tf.models.efficientzero import EfficientZero
from xtra_tf.models.efficientzero_config import EfficientZeroConfig
from xtra_tf.models.world_model import WorldModel

_Builder = Callable[[Mapping[str, Any], Optional[int]], WorldModel]


def _efficientzero(config: Mapping[str, Any],
                   seed: Optional[int]) -> WorldModel:
  return EfficientZero(EfficientZeroConfig.from_json(config), seed=seed)


_FAMILIES: Dict[str, _Builder] = {'efficientzero': _efficientzero}


def build_world_model(description: Mapping[str, Any],
                      seed: Optional[int] = None) -> WorldModel:
  """Builds a world model from its description.

  Args:
    description: `family` and `config`, as `WorldModel.description()` gives
      them; other entries (task, codec) are for other readers.
    seed: decides the initial weights; None takes entropy from the system.

  Returns:
    The model with all its variables.

  Raises:
    UsageError: an unknown family, or settings that the family does not have.
  """
  family = description.get('family')
  if family not in _FAMILIES:
    raise UsageError(f'No world model is of family {family!r}. '
                     f'{near_names(str(family), _FAMILIES)}')
  return _FAMILIES[family](description.get('config', {}), seed)
