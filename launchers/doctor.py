"""Finds what is wrong with a machine or an installation before a run does.

Examples:
  python -m launchers.doctor
  python -m launchers.doctor --root_dir=runs/demo

Exits with 0 if everything is in order and with 1 otherwise.
"""

from absl import flags

from launchers import program

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)


def main() -> int:
  """Prints one line per check."""
  from rich.console import Console
  from rich.table import Table

  from xtra_tf.experiments import doctor
  checks = doctor.run_checks(FLAGS.root_dir)
  table = Table('', 'check', 'found', 'what to do')
  for check in checks:
    table.add_row('[green]ok[/]' if check.ok else '[red]no[/]', check.name,
                  check.found, '' if check.ok else check.advice)
  Console().print(table)
  return 0 if all(check.ok for check in checks) else 1


if __name__ == '__main__':
  program.run(main)
