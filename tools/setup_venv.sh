#!/bin/sh
# Makes or repairs .venv in the checkout from requirements.lock, with hashes.
#
#   [PYTHON=/path/to/python3.11] tools/setup_venv.sh
#
# Does nothing when .venv already has what the lock asks for. Three states:
#   .venv/lock.sha256  is there and fits: complete;
#   .venv/INCOMPLETE   is there: an installation broke off (interrupt, no room,
#                      no network); it is deleted and made anew, because a wheel
#                      may be half unpacked and pip would take it for whole;
#   neither, or another lock: pip brings the environment up to the lock in place.
# The project itself is not installed: run from the checkout, `python -m` finds
# it. Every failure ends in one line that says what is missing.

set -eu
cd "$(dirname "$0")/.."

VENV=.venv
LOCK=requirements.lock
STAMP=$VENV/lock.sha256
MARK=$VENV/INCOMPLETE
LOG=$VENV/install.log
UV_VERSION=0.13.8
NEEDED_MIB=3500  # 2.2 GiB unpacked, the downloads beside it
PROBE='import sys; print("%d.%d" % sys.version_info[:2])'

export PIP_ROOT_USER_ACTION=ignore

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

is_311() { [ "$("$1" -c "$PROBE" 2>/dev/null)" = 3.11 ]; }
can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Prints the first Python 3.11 that can make a virtual environment.
installed_python() {
  for candidate in python3.11 python3 \
      "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.11*/bin/python3.11 \
      "${XDG_DATA_HOME:-$HOME/.local/share}"/uv/python/cpython-3.11*/bin/python3.11
  do
    if is_311 "$candidate" && can_make_venv "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# Prints a Python 3.11 downloaded by uv; uv itself comes by pip if need be.
downloaded_python() {
  uv=$(command -v uv || true)
  if [ -z "$uv" ]; then
    say "no Python 3.11 here and no uv; trying to get uv $UV_VERSION by pip"
    python3 -m pip install --quiet --disable-pip-version-check \
      --target "$scratch/uv" "uv==$UV_VERSION" >&2 || return 1
    uv=$scratch/uv/bin/uv
  fi
  say 'getting Python 3.11 by uv'
  UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-30} "$uv" python install 3.11 \
    >"$scratch/uv.log" 2>&1 || { head -n 1 "$scratch/uv.log" >&2; return 1; }
  "$uv" python find --no-project --managed-python 3.11
}

find_python() {
  if [ -n "${PYTHON:-}" ]; then
    is_311 "$PYTHON" ||
      fail "PYTHON=$PYTHON is not a Python 3.11; give one or leave it unset."
    can_make_venv "$PYTHON" ||
      fail "PYTHON=$PYTHON cannot make virtual environments: its modules" \
        "venv and ensurepip are missing (Debian: apt install python3.11-venv)."
    command -v "$PYTHON"
    return
  fi
  installed_python && return
  downloaded_python && return
  if is_311 python3.11 || is_311 python3; then
    fail 'this Python 3.11 lacks venv and ensurepip, and none could be' \
      'downloaded (Debian: apt install python3.11-venv).'
  fi
  fail 'no Python 3.11 found (python3.11, python3, pyenv, uv) and none could' \
    'be downloaded; install one and run again, or give PYTHON=/path/to/it.'
}

# Shows one changing line while pip writes to the log. The shell reads, because
# some awks wait for a full buffer.
show_progress() {
  total=$(grep -c '^[A-Za-z0-9]' "$LOCK")
  count=0
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$LOG"
    case $line in
      Collecting*|Processing*|'Requirement already satisfied'*)
        count=$((count + 1))
        name=${line#Requirement already satisfied: }
        name=${name#Collecting }
        name=${name#Processing }
        name=${name%% *}
        text="$count of about $total: ${name##*/}"
        if [ -t 2 ]; then
          printf '\r\033[Ksetup: %s' "$text" >&2
        elif [ $((count % 20)) -eq 0 ]; then
          say "$text"
        fi ;;
      'Building wheels'*|'Installing collected'*)
        if [ -t 2 ]; then printf '\r\033[K' >&2; fi
        say "${line%%:*}; this takes a minute or two" ;;
    esac
  done
}

# pip install "$@", with the progress shown and the whole text in the log.
pip_install() {
  rm -f "$MARK.pip"
  {
    "$VENV/bin/python" -m pip install --require-hashes --no-input \
      --progress-bar off --disable-pip-version-check "$@" 2>&1 &&
      : >"$MARK.pip"
  } | show_progress
  if [ ! -e "$MARK.pip" ]; then
    tail -n 15 "$LOG" >&2
    fail "pip could not install $LOCK: see above or $PWD/$LOG. Run again when" \
      'the cause is gone (network, disk); it starts afresh.'
  fi
  rm -f "$MARK.pip"
}

is_complete() {
  [ -x "$VENV/bin/python" ] && [ ! -e "$MARK" ] &&
    [ "$(cat "$STAMP" 2>/dev/null)" = "$hash" ]
}

[ "$(uname -sm)" = 'Linux x86_64' ] ||
  fail "the wheels of dm-reverb exist for Linux x86_64 only; this is $(uname -sm)."
hash=$(sha256sum <"$LOCK" | cut -d' ' -f1)
is_complete && exit 0

# Two of these at a time would delete each other's work.
if command -v flock >/dev/null 2>&1; then
  exec 9<"$LOCK"
  flock -n 9 || { say 'another set-up is at work; waiting for it'; flock 9; }
  is_complete && exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

if [ -e "$MARK" ]; then
  say 'the last installation broke off; making .venv anew'
  rm -rf "$VENV"
elif [ -e "$VENV" ] && ! is_311 "$VENV/bin/python"; then
  say 'the Python of .venv is gone or is no 3.11; making .venv anew'
  rm -rf "$VENV"
fi
if [ ! -e "$VENV" ]; then
  free_mib=$(df -Pm . | awk 'NR == 2 {print $4}')
  [ "$free_mib" -ge "$NEEDED_MIB" ] ||
    fail "$NEEDED_MIB MiB are needed for .venv, but $free_mib MiB are free here."
  python=$(find_python)
  say "making .venv with $("$python" --version)"
  mkdir "$VENV"
  : >"$MARK"
  "$python" -m venv "$VENV"
fi
: >"$MARK"
: >"$LOG"

# gym 0.23 and a few others come as source. They are built with the locked
# setuptools instead of whatever is newest, so that nothing without a hash is
# fetched. The lock is complete, hence --no-deps: pip would take a requirement
# with an extra that its package has given up (typer[all], of minari) for one
# that is not locked.
awk '/^[A-Za-z0-9]/ {keep = /^(setuptools|wheel)==/} keep' "$LOCK" \
  >"$scratch/build.lock"
pip_install --quiet --no-deps -r "$scratch/build.lock"
pip_install --no-deps --no-build-isolation -r "$LOCK"

printf '%s\n' "$hash" >"$STAMP"
rm -f "$MARK"
say "done: $VENV holds $LOCK"
