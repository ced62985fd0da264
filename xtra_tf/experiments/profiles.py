"""Which fidelity profile a run has, as its results record it."""

from typing import Any, List

import gin

from xtra_tf.experiments import configuration
from xtra_tf.experiments.fidelity import SWITCHES, Switch
from xtra_tf.experiments.settings import MAIN_STAGES


def recorded_name() -> str:
  """The profile's name, and the switches that are bound to something else.

  Returns:
    E.g. `xtra_official`, or `fixed+G28` with a switch set by hand.

  Raises:
    UsageError: there is no profile of the name that is bound.
  """
  profile = configuration.resolve(configuration.ProfileSettings).name
  departed = [switch.name for switch in SWITCHES
              if any(_plain(value) != _plain(switch.value(profile))
                     for value in _values(switch))]
  # One number may have several switches.
  return '+'.join([profile, *dict.fromkeys(departed)])


def _values(switch: Switch) -> List[Any]:
  """What the switch is bound to now, in every stage that it concerns."""
  scope, _, parameter = switch.parameter.rpartition('/')
  everywhere = _bound(parameter, switch.fixed)
  if scope:
    return [_bound(switch.parameter, everywhere)]
  return [everywhere, *(_bound(f'{stage}/{parameter}', everywhere)
                        for stage in MAIN_STAGES)]


def _bound(parameter: str, default: Any) -> Any:
  try:
    return gin.query_parameter(parameter)
  except ValueError:  # not bound
    return default


def _plain(value: Any) -> Any:
  return tuple(value) if isinstance(value, list) else value
