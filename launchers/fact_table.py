"""A table of two columns on the terminal: what a launcher has done or found."""

from typing import Iterable, Sequence, Tuple


def show(title: str, rows: Iterable[Tuple[str, str]],
         notes: Sequence[str] = ()) -> None:
  """Prints a table and, below it, one line for each note.

  Args:
    title: above the table.
    rows: (name, value) pairs.
    notes: sentences; long ones are not broken, so that they can be copied.
  """
  from rich.console import Console
  from rich.table import Table
  table = Table(title=title, show_header=False)
  table.add_column('')
  table.add_column('', justify='right')
  for name, value in rows:
    table.add_row(name, value)
  console = Console()
  console.print(table)
  for note in notes:
    console.print(note, soft_wrap=True, highlight=False)
