#!/usr/bin/env bash
# Train on this machine, with all its accelerators or none. A preempted training (exit
# code 75) is restarted and resumes; any other exit code ends the script with that code.
# SIGTERM and Ctrl-C are forwarded to the training, which saves; then nothing is restarted.
#
#   launch/local.sh [FLAGS] -- --config FILE --workdir DIR [--config.KEY=VALUE ...]
#
#   --restarts N   maximum number of restarts (20)
#   --python FILE  the environment's Python (.venv/bin/python of the repository, else python)
#   --dry-run      print the command, do not run it

set -euo pipefail
script=$0
root=$(cd "$(dirname "$script")/.." && pwd)
# shellcheck source=launch/flags.sh
source "$root/launch/flags.sh"

restarts=20 python='' dry_run=''
values='restarts python' switches='dry-run'
read_flags "$@"
need_number restarts 0
need_train
if [[ -z $python ]]; then
  python=$root/.venv/bin/python
  [[ -x $python ]] || python=python
fi
command=("$python" -m mst_jax.train "${train[@]}")
if [[ -n $dry_run ]]; then
  run "${command[@]}"
  exit
fi

# On a CPU: with large pages; small ones cost a sixth of a step.
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}

# With job control the training is its own process group: Ctrl-C reaches it once, from here.
set -m
stop_requested='' interrupted='' child=''
forward() {
  stop_requested=yes interrupted=yes
  [[ -z $child ]] || kill -s "$1" "$child" 2>/dev/null || true
}
trap 'forward TERM' TERM
trap 'forward INT' INT

for ((started = 0; ; started++)); do
  "${command[@]}" &
  child=$!
  # A signal came while the training was being started.
  [[ -z $stop_requested ]] || kill -s TERM "$child" 2>/dev/null || true
  code=0
  while :; do
    interrupted=''
    wait "$child" && code=0 || code=$?
    [[ -n $interrupted ]] || break # a signal ends the wait, not the training
  done
  ((code == PREEMPTED)) && [[ -z $stop_requested ]] || exit "$code"
  if ((started >= restarts)); then
    echo "local.sh: preempted $((started + 1)) times, --restarts $restarts; the same command resumes it" >&2
    exit "$code"
  fi
  echo "local.sh: preempted, restarting ($((started + 1)) of $restarts)" >&2
done
