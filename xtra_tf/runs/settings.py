"""A run's settings, and how they differ from those that it began with.

Settings are a dictionary {name: value as text}: gin parameters and flags.
"""

import hashlib
import json
import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from xtra_tf.errors import SettingsChangedError

# Names of settings and flags whose values are nobody's business. Bounded, so
# that the game DonkeyKong is not taken for a key.
_PRIVATE = re.compile(
    r'(?<![a-z])(api_?key|key|token|secret|password|credential)s?(?![a-z])',
    re.IGNORECASE)
_FLAG = re.compile(r'(--?[\w.-]+)([= ])(?!-)(\'[^\']*\'|\S+)')
_HIDDEN = '***'


class SettingChange(NamedTuple):
  """One setting that differs; None where it is not set at all."""
  name: str
  old: Optional[str]
  new: Optional[str]

  def __str__(self) -> str:
    old, new = ('(not set)' if v is None else v for v in (self.old, self.new))
    return f'{self.name}: {old} -> {new}'


def hide_private(settings: Mapping[str, str]) -> Dict[str, str]:
  """A copy in which keys, tokens and secrets are hidden."""
  return {name: _HIDDEN if _PRIVATE.search(name) else str(value)
          for name, value in settings.items()}


def hide_private_flags(command: str) -> str:
  """A command line in which values of private flags are hidden."""
  def hide(match: 're.Match[str]') -> str:
    name, separator, _ = match.groups()
    return (f'{name}{separator}{_HIDDEN}' if _PRIVATE.search(name)
            else match.group(0))
  return _FLAG.sub(hide, command)


def settings_hash(settings: Mapping[str, str]) -> str:
  """SHA-256 of the settings, whatever their order."""
  text = json.dumps(dict(settings), sort_keys=True)
  return hashlib.sha256(text.encode('utf-8')).hexdigest()


def compare_settings(old: Mapping[str, str],
                     new: Mapping[str, str]) -> List[SettingChange]:
  """The settings that differ, by name."""
  return [SettingChange(name, old.get(name), new.get(name))
          for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def settings_changed_error(root: str, changes: Sequence[SettingChange]
                           ) -> SettingsChangedError:
  """Shows the differences, one a line, and what can be done."""
  lines = '\n'.join(f'  {change}' for change in changes)
  count = 'one setting' if len(changes) == 1 else f'{len(changes)} settings'
  return SettingsChangedError(
      f'{root} holds a run that began with other settings:\n{lines}\n'
      f'Expected the settings that it began with, found {count} changed. Take '
      'them back, choose another --root_dir, or pass --accept_config_change to '
      'go on with the new ones.')
