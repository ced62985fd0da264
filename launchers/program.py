"""How every launcher starts and ends: flags, help, errors, exit codes.

Exit codes: 0 done, 1 a bug of ours, 2 wrong usage, 65 bad data, 69 a service
that cannot be reached, 70 non-finite numbers, 74 input or output, 130
interrupted. A program that SIGTERM stops has saved and ends with 0. What each
means to a user stands in docs/troubleshooting.md.
"""

import os
import sys
import textwrap
from typing import Callable, List, NoReturn, Optional, Sequence

from absl import app, flags, logging

FLAGS = flags.FLAGS

flags.DEFINE_string(
    'root_dir', None, 'Folder of the run; a used one is gone on with.')
flags.DEFINE_bool('debug', False, 'Show a traceback with every error.')


def _parse_flags(argv: Sequence[str]) -> List[str]:
  """absl's own parser exits with 1 for help and for mistakes alike."""
  if {'--help', '-help', '--helpfull', '--helpshort', '-h'} & set(argv[1:]):
    _show_help()
  try:
    remaining = FLAGS(list(argv))
  except flags.Error as error:
    fail(f'{error}\nPass --help to see the flags.', 2)
  if len(remaining) > 1:
    fail(f'Unexpected arguments: {" ".join(remaining[1:])}. Expected flags '
          'only. Pass --help to see them.', 2)
  return remaining


def _show_help() -> NoReturn:
  main_module = sys.modules['__main__']
  parts = [f'{(main_module.__doc__ or "").strip()}\n\nFlags:\n']
  for flag in sorted(FLAGS.get_key_flags_for_module(main_module),
                     key=lambda flag: flag.name):
    switch = '[no]' if flag.boolean else ''
    bare = flag.default in (None, [])
    default = '' if bare else f' (default: {flag.default})'
    text = textwrap.fill(' '.join(flag.help.split()), 78,
                         initial_indent=' ' * 6, subsequent_indent=' ' * 6)
    parts.append(f'  --{switch}{flag.name}{default}\n{text}\n')
  try:
    sys.stdout.write(''.join(parts))
    sys.stdout.flush()
  except BrokenPipeError:  # `--help | head`; Python flushes again at the end
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  sys.exit(0)


def fail(message: str, code: int = 2) -> NoReturn:
  """Ends the program with one message; 2: it was used wrongly."""
  sys.stderr.write(f'error: {message}\n')
  sys.stderr.flush()
  sys.exit(code)


def run(main: Callable[[], int], at_once: bool = False) -> NoReturn:
  """Parses the flags, runs `main`, and turns errors into one clear message.

  Args:
    main: returns the exit code. It imports TensorFlow, not its module, so that
      `--help` answers at once.
    at_once: the program ends when `main` has, for one that samples from a
      server elsewhere: its data sets wait a minute at the end of a process for
      a server that is gone. It must have closed what it has written.
  """
  app.run(lambda _: _ended(main) if at_once else _guarded(main),
          flags_parser=_parse_flags)
  raise AssertionError('app.run does not return')


def _ended(main: Callable[[], int]) -> NoReturn:
  """Ends the process without destroying what is left in it."""
  try:
    _guarded(main)
  except SystemExit as ended:
    code = ended.code
  for stream in (sys.stdout, sys.stderr):
    stream.flush()
  os._exit(code if isinstance(code, int) else 1)


def _hush_gym() -> None:
  """TF-Agents imports the old gym, which prints an advertisement; not ours."""
  try:
    from gym_notices import notices
  except ImportError:
    return
  notices.notices.clear()


def _guarded(main: Callable[[], int]) -> NoReturn:
  # TensorFlow's and Reverb's native start-up lines say nothing to a user.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  os.environ.setdefault('GLOG_minloglevel', '2')
  if not FLAGS.debug:
    logging.set_verbosity(logging.ERROR)
  _hush_gym()
  from xtra_tf import errors  # pylint: disable=import-outside-toplevel
  from xtra_tf.runs import stop_request
  stop_request.install()
  try:
    sys.exit(main())
  except errors.UserError as error:
    if FLAGS.debug:
      raise
    fail(str(error), error.exit_code)
  except KeyboardInterrupt as stopped:
    if FLAGS.debug:
      raise
    sys.stderr.write(f'{str(stopped) or "Interrupted."} The same command goes '
                     'on from the last save.\n')
    sys.exit(getattr(stopped, 'exit_code', errors.EXIT_INTERRUPTED))
  except OSError as error:
    if FLAGS.debug:
      raise
    fail(f'{error}. The same command goes on from the last save.',
          errors.EXIT_IO)
  except Exception as error:
    explanation = None if FLAGS.debug else _explanation(error)
    if explanation is None:
      raise
    fail(explanation)


def _explanation(error: Exception) -> Optional[str]:
  """What a user can do about an error that is not ours; None: it is a bug."""
  name = type(error).__name__
  first_line = str(error).strip().split('\n')[0]
  if isinstance(error, MemoryError) or name == 'ResourceExhaustedError':
    return (f'Too little memory: {name}: {first_line}. Expected a smaller '
            'BATCH_SIZE, network or ReplaySettings.max_size, or a machine or '
            'GPU with more that no other program uses. The same command with '
            '--accept_config_change goes on from the last save.')
  from xtra_tf.experiments import doctor
  others = doctor.other_versions()
  if others:
    return (f'{name}: {first_line}\nThis installation has '
            f'{", ".join(others)}. Expected the versions of requirements.lock: '
            'remove .venv, then `make venv`. `python -m launchers.doctor` '
            'looks at everything.')
  return None


def native_output_to(path: str) -> None:
  """Sends what TensorFlow's and Reverb's native code says to a file.

  They write start-up lines by the dozen to the process's standard error, which
  no flag of theirs turns off. Python's own messages stay where they were.

  Args:
    path: appended to; its folder is made.

  Raises:
    StorageError: it cannot be written.
  """
  from xtra_tf.runs import make_folder, storage_error
  make_folder(os.path.dirname(path))
  shown = os.fdopen(os.dup(2), 'w', buffering=1, encoding='utf-8')
  try:
    with open(path, 'ab') as file:
      os.dup2(file.fileno(), 2)
  except OSError as error:
    raise storage_error(path, error) from error
  sys.stderr = shown


def hide_native_output() -> None:
  """Drops what `native_output_to` would keep, for programs without a log."""
  native_output_to(os.devnull)


def require(name: str, value: Optional[str], example: str) -> str:
  """The value of a flag that has no default; ends the program without one."""
  if not value:
    fail(f'--{name} is missing. Expected e.g. --{name}={example}. Pass --help '
          'to see the flags.', 2)
  return value


def require_root_dir() -> str:
  """The flag's value; the one flag that has no default."""
  if not FLAGS.root_dir:
    fail('--root_dir is missing. Expected the folder of the run, e.g. '
          '--root_dir=runs/demo.', 2)
  return FLAGS.root_dir
