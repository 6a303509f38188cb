#!/usr/bin/env bash
# The job that launch/slurm.sh submits with sbatch; do not run it by hand.
#
#   launch/slurm_job.sh --restarts N [--dry-run] -- --config FILE --workdir DIR [...]

#SBATCH --job-name=mst_jax
#SBATCH --output=slurm-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
# SIGTERM two minutes before the time limit, to the training, not to this script.
#SBATCH --signal=TERM@120

set -euo pipefail
# Slurm runs a copy of this file, in the folder where sbatch was called: the checkout.
script=launch/slurm_job.sh
# shellcheck source=launch/flags.sh
source launch/flags.sh

restarts='' dry_run=''
values='restarts' switches='dry-run'
read_flags "$@"
need restarts
need_number restarts 0
need_train

# If a process fails, Slurm must not kill the others: they would save, exit as if they were
# preempted, and hide its exit code. JAX ends them.
code=0
run srun --kill-on-bad-exit=0 .venv/bin/python -m mst_jax.train "${train[@]}" || code=$?
if [[ -n $dry_run ]]; then
  echo "# preempted: scontrol requeue, up to $restarts times"
elif ((code == PREEMPTED && ${SLURM_RESTART_COUNT:-0} < restarts)); then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
