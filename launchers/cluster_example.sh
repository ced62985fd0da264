#!/bin/bash
#SBATCH --job-name=xtra
#SBATCH --nodes=2
#SBATCH --ntasks=6
#SBATCH --cpus-per-task=4
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@300
#
# One stage of a run as one job: replay server, learner, collectors, and, if
# asked for, reanalyzers and an evaluator, each a task of the job.
#
#   ROOT_DIR=/shared/runs/krull STAGE=scratch sbatch launchers/cluster_example.sh
#
# Submitted again, it goes on where it stopped. The job's exit code is the
# learner's; all other roles end with it. Five minutes before its time is over
# the job is asked to end, saves and ends with 0. Without a scheduler, `bash
# launchers/cluster_example.sh` runs the same roles as plain processes.
#
# Copy it and change what is here. It was run as plain processes; it has not been
# run by Slurm. Reverb asks nobody who they are: whoever reaches PORT of the first
# node can read and change the tables.
set -uo pipefail

# On a file system that all nodes share.
ROOT_DIR=${ROOT_DIR:-runs/krull}
# finetune, scratch or data/TASK. The stages before it: launchers.xtra --stages.
STAGE=${STAGE:-scratch}
GIN_FILES=${GIN_FILES:-protocols/demo.gin}  # separated by blanks, later ones win
GIN_BINDINGS=${GIN_BINDINGS:-}              # separated by semicolons
SEED=${SEED:-0}
COLLECTORS=${COLLECTORS:-2}
REANALYZERS=${REANALYZERS:-0}               # 0: the learner searches itself
EVALUATOR=${EVALUATOR:-1}                   # 0: none
LOCK_STEP=${LOCK_STEP:-1}                   # 0: each at its own pace
PORT=${PORT:-$((20000 + ${SLURM_JOB_ID:-$$} % 20000))}
PYTHON=${PYTHON:-.venv/bin/python}
GRACE=${GRACE:-150}        # seconds for all others to end
RESTARTS=${RESTARTS:-5}    # of a role that dies, all roles together

settings=(--root_dir="$ROOT_DIR" --stage="$STAGE")
for file in $GIN_FILES; do settings+=(--gin_file="$file"); done
IFS=';' read -ra bindings <<<"$GIN_BINDINGS"
for binding in "${bindings[@]}"; do settings+=(--gin_bindings="$binding"); done

host=localhost
server_flags=()
if [ "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ]; then
  host=$(hostname)
  server_flags=(--allow_remote)
fi
pace=--lock_step
[ "$LOCK_STEP" = 1 ] || pace=--nolock_step
common=("${settings[@]}" --seed="$SEED")
client=("${common[@]}" --replay_address="$host:$PORT")
logs=$ROOT_DIR/logs
mkdir -p "$logs" || exit 74

declare -A command pid
command[server]="replay_server"
command[learner]="train"
for ((i = 0; i < COLLECTORS; i++)); do command[collector-$i]="collect"; done
for ((i = 0; i < REANALYZERS; i++)); do command[reanalyzer-$i]="reanalyze"; done
[ "$EVALUATOR" = 1 ] && command[evaluator]="evaluate"

# One task of the job, or a process. exec: a signal reaches the program itself.
launch() {
  if [ -n "${SLURM_JOB_ID:-}" ]; then
    exec srun --nodes=1 --ntasks=1 --exact "$@"
  fi
  exec "$@"
}

start() {
  local role=$1 number=${1##*-} place=()
  local flags=("${client[@]}")
  case ${command[$role]} in
    replay_server)
      flags=("${common[@]}" --port="$PORT" "${server_flags[@]}")
      # Where the others look for it.
      [ -n "${SLURM_JOB_ID:-}" ] && place=(--nodelist="$(hostname)") ;;
    train)
      flags+=("$pace")
      [ "$REANALYZERS" -gt 0 ] && flags+=(--reanalyze=remote) ;;
    collect)
      flags+=("$pace" --collector="$number" --collectors="$COLLECTORS") ;;
    reanalyze)
      flags+=(--reanalyzer="$number") ;;
    evaluate)
      flags=("${settings[@]}" --follow) ;;
  esac
  launch "${place[@]}" "$PYTHON" -m "launchers.${command[$role]}" \
    "${flags[@]}" </dev/null >>"$logs/$role.console.log" 2>&1 &
  pid[$role]=$!
}

# Who plays first, whom the others need last.
end_all() {
  local role end=$((SECONDS + GRACE))
  for role in evaluator $(printf '%s\n' "${!command[@]}" | grep -- -) \
      learner server; do
    [ -n "${pid[$role]:-}" ] || continue
    kill -TERM "${pid[$role]}" 2>/dev/null
    while kill -0 "${pid[$role]}" 2>/dev/null; do
      if [ $SECONDS -ge $end ]; then
        kill -KILL "${pid[$role]}" 2>/dev/null
      fi
      sleep 0.2
    done
  done
}

asked=0
stop() { asked=1; kill -TERM "${pid[learner]}" 2>/dev/null; }
trap stop TERM INT

for role in "${!command[@]}"; do start "$role"; done
echo "Stage $STAGE of $ROOT_DIR; replay server $host:$PORT; logs in $logs"

code=-1
while [ $code -lt 0 ]; do
  wait -n -p ended "${pid[@]}"
  status=$?
  [ -n "${ended:-}" ] || continue  # a signal has come
  for role in "${!pid[@]}"; do
    [ "${pid[$role]}" = "$ended" ] || continue
    unset "pid[$role]"
    if [ "$role" = learner ]; then
      code=$status
    elif [ $status -ne 0 ] && [ $asked = 0 ]; then
      echo "$role has ended with $status: $(tail -n 1 "$logs/$role.console.log")"
      if [ $((RESTARTS--)) -gt 0 ] && [ $status -ne 2 ]; then
        start "$role"
      else
        code=$status
      fi
    fi
    break
  done
done
# It has the last save to play, and then ends by itself.
if [ $code = 0 ] && [ $asked = 0 ] && [ -n "${pid[evaluator]:-}" ]; then
  wait "${pid[evaluator]}"
fi
end_all
echo "Ended with $code."
exit $code
