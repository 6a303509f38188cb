#!/usr/bin/env bash
# Train on a Slurm cluster: one process for each GPU of each node. Run it on the login node,
# in a checkout on a shared disk with its .venv; paths are relative to the checkout. A job
# that is preempted or reaches its time limit saves, is queued again and resumes.
#
#   launch/slurm.sh --nodes N --gpus N [FLAGS] -- --config FILE --workdir DIR [...]
#
#   --nodes N          number of machines
#   --gpus N           GPUs of each machine
#   --cpus N           CPU cores for each GPU (8)
#   --partition NAME, --account NAME, --time LIMIT   as for sbatch (the cluster's own)
#   --restarts N       maximum number of restarts (20)
#   --dry-run          print the commands, do not run them
#
# sbatch reads further options of a cluster from environment variables: SBATCH_QOS=...

set -euo pipefail
script=$0
cd "$(dirname "$script")/.."
script=launch/slurm.sh
# shellcheck source=launch/flags.sh
source launch/flags.sh

# shellcheck disable=SC2034 # read by name
nodes='' gpus='' cpus=8 partition='' account='' time='' restarts=20 dry_run=''
values='nodes gpus cpus partition account time restarts' switches='dry-run'
read_flags "$@"
need nodes gpus
need_number nodes 1
need_number gpus 1
need_number cpus 1
need_number restarts 0
need_train

sbatch_flags=(--nodes "$nodes" --gpus-per-node "$gpus" --ntasks-per-node "$gpus" --cpus-per-task "$cpus")
for name in partition account time; do
  [[ -z ${!name} ]] || sbatch_flags+=("--$name" "${!name}")
done
job=(launch/slurm_job.sh --restarts "$restarts")
run sbatch "${sbatch_flags[@]}" "${job[@]}" -- "${train[@]}"
if [[ -n $dry_run ]]; then
  echo "# on the nodes:"
  "${job[@]}" --dry-run -- "${train[@]}"
fi
