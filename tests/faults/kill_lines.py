"""The file that remembers kills: a JSON line each, so that one can go on."""

import json
import os
import sys
from typing import Any, Dict, List, Mapping


def read(path: str) -> List[Dict[str, Any]]:
  """The lines so far; none without a file."""
  if not path or not os.path.exists(path):
    return []
  with open(path, encoding='utf-8') as file:
    return [json.loads(line) for line in file]


def add(path: str, fields: Mapping[str, Any]) -> None:
  """Adds a line, and shows it."""
  line = json.dumps(fields)
  sys.stdout.write(f'{line}\n')
  sys.stdout.flush()
  if path:
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with open(path, 'a', encoding='utf-8') as file:
      file.write(f'{line}\n')
