"""Flags of the form TASK=DIR."""

from typing import Dict, Sequence


def parse(flag: str, texts: Sequence[str]) -> Dict[str, str]:
  """The pairs of a repeated flag.

  Args:
    flag: its name.
    texts: its values.

  Returns:
    {task: folder}.

  Raises:
    UsageError: a text that is no pair, or a task that is named twice.
  """
  from xtra_tf.errors import UsageError
  pairs: Dict[str, str] = {}
  for text in texts:
    task, separator, folder = text.partition('=')
    if not separator or not task or not folder:
      raise UsageError(f'--{flag} is {text!r}. Expected TASK=DIR, e.g. '
                       f'--{flag}=Alien=data/alien.')
    if task in pairs:
      raise UsageError(f'--{flag} names {task} twice: {pairs[task]} and '
                       f'{folder}. Expected one folder a task.')
    pairs[task] = folder
  return pairs
