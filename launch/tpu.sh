#!/usr/bin/env bash
# Train on a Cloud TPU VM or pod slice, from your own machine, through gcloud.
#
#   launch/tpu.sh ACTION --name NAME --zone ZONE [FLAGS] [-- --config FILE --workdir gs://... ...]
#
#   create   create the machines
#   install  copy the committed files to every worker and install the requirements
#   run      train on all workers; create preempted machines again and resume
#   delete   delete the machines
#   all      create, install, run; always delete at the end
#
#   --type TYPE        such as v4-32 or v5litepod-8 (create, run, all)
#   --version VERSION  of the TPU software (tpu-ubuntu2204-base; v5e: v2-alpha-tpuv5-lite,
#                      v5p: v2-alpha-tpuv5, v6e: v2-alpha-tpuv6e)
#   --spot             cheaper machines that may be preempted
#   --project ID       (that of gcloud's configuration)
#   --setup COMMAND    after install, on every worker, in the repository, such as
#                      'gcloud storage cp --recursive gs://BUCKET/data .'
#   --restarts N       maximum number of restarts after preemptions (20)
#   --pause SECONDS    wait before the state of the machines is read (60)
#   --dry-run          print the commands, do not run them
#
# Any other failure of the training ends the script with its exit code.

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
  local machine_flags=()
  [[ -z $spot ]] || machine_flags=(--spot)
  tpu create "$name" --accelerator-type "$type" --version "$version" "${machine_flags[@]}"
}

# The requirements pin jax; its extra brings libtpu. The images' own Python is too old.
install() {
  local archive=${TMPDIR:-/tmp}/mst_jax-$name.tar.gz
  run git archive --format tar.gz --output "$archive" HEAD &&
    tpu scp "$archive" "$name:mst_jax.tar.gz" --worker all &&
    on_all_workers "rm -rf mst_jax && mkdir mst_jax && tar -xzf mst_jax.tar.gz -C mst_jax \
&& cd mst_jax && python3 -m pip install --quiet --user uv \
&& python3 -m uv venv --quiet --python 3.12 .venv \
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
read_state() {
  tpu describe "$name" --format 'value(state)' 2>/dev/null || true
}

# Exit code 75 and missing machines are preemptions. ssh's own code hides exit code 75 if
# the machine vanishes quickly, so the state of the machines is read.
run_with_restarts() {
  local code restarted=0 machine_state
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
      machine_state=$(read_state)
      [[ $machine_state != READY || $code == "$PREEMPTED" ]] || return "$code"
      if ((restarted >= restarts)); then
        echo "tpu.sh: preempted, --restarts $restarts; the same command resumes it" >&2
        return "$PREEMPTED"
      fi
      restarted=$((restarted + 1))
      echo "tpu.sh: preempted (${machine_state:-deleted}), resuming ($restarted of $restarts)" >&2
      [[ $machine_state != READY ]] || break
      { [[ -z $machine_state ]] || delete; } && create && install && break
    done
  done
}

case $action in
  create | install | delete) "$action" ;;
  run) run_with_restarts ;;
  all)
    create
    trap delete EXIT
    install
    run_with_restarts
    ;;
esac
