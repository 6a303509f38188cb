#!/usr/bin/env bash
# Trains on this machine, with all its accelerators or none. Train that was preempted
# (exit code 75) is started again and goes on; any other code ends the script with it.
# SIGTERM and Ctrl-C go through to train, which saves; then nothing is started again.
#
#   launch/local.sh [FLAGS] -- --config FILE --workdir DIR [--config.KEY=VALUE ...]
#
#   --restarts N   start again so many times at most (20)
#   --python FILE  the environment's Python (.venv/bin/python of the repository, else python)
#   --dry-run      print the command, run nothing

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

# On a CPU: glibc asks Linux for large pages, or a sixth of a step goes into small ones.
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}

# With job control train is a process group of its own: Ctrl-C reaches it once, from here.
set -m
told='' interrupted='' child=''
forward() {
  told=yes interrupted=yes
  [[ -z $child ]] || kill -s "$1" "$child" 2>/dev/null || true
}
trap 'forward TERM' TERM
trap 'forward INT' INT

for ((started = 0; ; started++)); do
  "${command[@]}" &
  child=$!
  # A signal came while train was being started.
  [[ -z $told ]] || kill -s TERM "$child" 2>/dev/null || true
  code=0
  while :; do
    interrupted=''
    wait "$child" && code=0 || code=$?
    [[ -n $interrupted ]] || break # a signal ends the waiting, not train
  done
  ((code == PREEMPTED)) && [[ -z $told ]] || exit "$code"
  if ((started >= restarts)); then
    echo "local.sh: preempted $((started + 1)) times, --restarts $restarts; the same command goes on" >&2
    exit "$code"
  fi
  echo "local.sh: preempted, starting again ($((started + 1)) of $restarts)" >&2
done
