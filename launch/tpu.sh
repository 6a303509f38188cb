#!/usr/bin/env bash
# Trains on a Cloud TPU VM or pod slice, from your own machine, through gcloud.
#
#   launch/tpu.sh ACTION --name NAME --zone ZONE [FLAGS] [-- --config FILE --workdir gs://... ...]
#
#   create   make the machines
#   install  put what is committed here, and what it needs, onto every worker
#   run      train on all workers; when the machines were preempted, make them anew and go on
#   delete   give the machines back
#   all      create, install, run; delete at the end, whatever happened
#
#   --type TYPE        such as v4-32 or v5litepod-8 (create, run, all)
#   --version VERSION  of the TPU software (tpu-ubuntu2204-base; v5e: v2-alpha-tpuv5-lite,
#                      v5p: v2-alpha-tpuv5, v6e: v2-alpha-tpuv6e)
#   --spot             cheaper machines that may be taken away
#   --project ID       (that of gcloud's configuration)
#   --setup COMMAND    after install, on every worker, in the repository, such as
#                      'gcloud storage cp --recursive gs://BUCKET/data .'
#   --restarts N       go on after preemptions so many times at most (20)
#   --pause SECONDS    before asking what became of the machines (60)
#   --dry-run          print the commands, run nothing
#
# Any other failure of train ends the script with train's exit code.

set -euo pipefail
script=$0
# shellcheck source=launch/flags.sh
source "$(dirname "$script")/flags.sh"

name='' zone='' type='' version=tpu-ubuntu2204-base spot='' project='' setup=''
restarts=20 pause=60 dry_run=''
values='name zone type version project setup restarts pause' switches='spot dry-run'
action=${1-}
case $action in
  create | install | run | delete | all) read_flags "${@:2}" ;;
  -h | --help) read_flags --help ;;
  *) fail "expected create, install, run, delete or all, got '$action', see --help" ;;
esac
need name zone
need_number restarts 0
need_number pause 0
case $action in
  create) need type ;;
  run | all)
    need type
    need_bucket
    ;;
esac
cd "$(dirname "$script")/.."

where=(--zone "$zone")
[[ -z $project ]] || where+=(--project "$project")

tpu() {
  run gcloud compute tpus tpu-vm "$@" "${where[@]}"
}

on_all_workers() {
  tpu ssh "$name" --worker all --command "$1"
}

create() {
  local kind=()
  [[ -z $spot ]] || kind=(--spot)
  tpu create "$name" --accelerator-type "$type" --version "$version" "${kind[@]}"
}

# The requirements pin jax; its extra brings libtpu. The images' own Python is too old.
install() {
  local archive=${TMPDIR:-/tmp}/mst_jax-$name.tar.gz
  run git archive --format tar.gz --output "$archive" HEAD &&
    tpu scp "$archive" "$name:mst_jax.tar.gz" --worker all &&
    on_all_workers "rm -rf mst_jax && mkdir mst_jax && tar -xzf mst_jax.tar.gz -C mst_jax \
&& cd mst_jax && python3 -m pip install --quiet --user uv \
&& python3 -m uv venv --quiet --python 3.11 .venv \
&& python3 -m uv pip install --quiet --python .venv -r requirements.txt 'jax[tpu]' -e '.[gcs]'" || return
  [[ -z $setup ]] || on_all_workers "cd mst_jax && $setup"
}

delete() {
  tpu delete "$name" --quiet
}

train_once() {
  on_all_workers "cd mst_jax && exec .venv/bin/python -m mst_jax.train $(quoted "${train[@]}")"
}

# READY, PREEMPTED, TERMINATED ...; nothing if there is no such machine.
state() {
  tpu describe "$name" --format 'value(state)' 2>/dev/null || true
}

# Code 75, or machines that are gone, are preemptions. ssh's own code would hide the first
# if the machine vanished quickly, so the machines are asked.
run_to_the_end() {
  local code restarted=0 now
  if [[ -n $dry_run ]]; then
    train_once
    echo "# preempted: delete, create, install, run again, up to $restarts times"
    return
  fi
  while :; do
    code=0
    train_once || code=$?
    ((code)) || return 0
    while :; do
      sleep "$pause"
      now=$(state)
      [[ $now != READY || $code == "$PREEMPTED" ]] || return "$code"
      if ((restarted >= restarts)); then
        echo "tpu.sh: preempted, --restarts $restarts; the same command goes on" >&2
        return "$PREEMPTED"
      fi
      restarted=$((restarted + 1))
      echo "tpu.sh: preempted (${now:-deleted}), going on ($restarted of $restarts)" >&2
      [[ $now != READY ]] || break
      { [[ -z $now ]] || delete; } && create && install && break
    done
  done
}

case $action in
  create | install | delete) "$action" ;;
  run) run_to_the_end ;;
  all)
    create
    trap delete EXIT
    install
    run_to_the_end
    ;;
esac
