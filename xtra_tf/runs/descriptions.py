"""Nested descriptions of things, {name: value}, and how two of them differ."""

from typing import Any, Dict, List, Mapping


def differences(expected: Mapping[str, Any], found: Mapping[str, Any],
                either: bool = False) -> List[str]:
  """Where a description is not what it should be.

  Args:
    expected: what must agree.
    found: may have other fields.
    either: unless this is set; a field of `found` alone then differs too.

  Returns:
    A phrase for each field that differs, with both values, e.g.
    `window.stack: expected 4, found 1`.
  """
  ours, theirs = _flat(expected), _flat(found)
  names = sorted({*ours, *theirs}) if either else list(ours)
  return [f'{name}: expected {ours.get(name)!r}, found {theirs.get(name)!r}'
          for name in names if ours.get(name) != theirs.get(name)]


def _flat(nested: Mapping[str, Any], prefix: str = '') -> Dict[str, Any]:
  """{'a.b': value} for {'a': {'b': value}}."""
  flat: Dict[str, Any] = {}
  for name, value in nested.items():
    if isinstance(value, Mapping):
      flat.update(_flat(value, f'{prefix}{name}.'))
    else:
      flat[f'{prefix}{name}'] = value
  return flat
