#!/usr/bin/env bash
# Train on GKE through XPK (pip install xpk), on TPU slices or GPU nodes.
#
#   launch/gke.sh ACTION --cluster NAME --zone ZONE [FLAGS] [-- --config FILE --workdir gs://... ...]
#
#   cluster         create a cluster with these machines
#   image           build launch/Dockerfile for them and push it
#   run             queue the training; Kubernetes restarts it after a preemption
#   logs            follow the log of process 0
#   delete          stop the training
#   delete-cluster  delete the machines
#
#   --type TYPE     such as v4-32, v5litepod-16 or h100-80gb-8 (cluster, image, run)
#   --num N         TPU slices, or GPU nodes (1)
#   --image NAME    such as REGION-docker.pkg.dev/PROJECT/REPOSITORY/mst_jax:1 (image, run)
#   --name NAME     of the training (run, logs, delete)
#   --spot          cheaper machines that may be preempted (cluster, run)
#   --setup COMMAND before the training, in every container, such as one that copies the
#                   data from a bucket (run)
#   --project ID    (that of gcloud's configuration)
#   --restarts N    maximum number of restarts after preemptions (20)
#   --dry-run       print the commands, do not run them

set -euo pipefail
script=$0
# shellcheck source=launch/flags.sh
source "$(dirname "$script")/flags.sh"

cluster='' zone='' type='' num=1 image='' name='' spot='' setup='' project='' restarts=20 dry_run=''
values='cluster zone type num image name setup project restarts' switches='spot dry-run'
action=${1-}
case $action in
  cluster | image | run | logs | delete | delete-cluster) read_flags "${@:2}" ;;
  -h | --help) read_flags --help ;;
  *) fail "expected cluster, image, run, logs, delete or delete-cluster, got '$action', see --help" ;;
esac
need_number num 1
need_number restarts 0
[[ $action == image || $action == logs ]] || need cluster zone
case $action in
  cluster) need type ;;
  image) need type image ;;
  run)
    need type image name
    need_bucket
    ;;
  logs | delete) need name ;;
esac
cd "$(dirname "$script")/.."

where=(--cluster "$cluster" --zone "$zone")
[[ -z $project ]] || where+=(--project "$project")
machine_flags=()
[[ -z $spot ]] || machine_flags=(--spot)

# TPU types begin with v and the generation. JAX detects the processes of TPU slices;
# those of GPU nodes get flags from the environment variables that XPK sets.
if [[ $type =~ ^v[0-9] ]]; then
  extra=tpu count=(--num-slices "$num") processes=''
else
  extra=cuda12 count=(--num-nodes "$num")
  # shellcheck disable=SC2016 # the container's variables
  processes=' --coordinator=$JAX_COORDINATOR_ADDRESS:$JAX_COORDINATOR_PORT --num-processes=$NNODES --process-id=$NODE_RANK'
fi

case $action in
  cluster)
    run xpk cluster create "${where[@]}" --device-type "$type" "${count[@]}" "${machine_flags[@]}"
    ;;
  image)
    run docker build --file launch/Dockerfile --build-arg "EXTRA=$extra" --tag "$image" .
    run docker push "$image"
    ;;
  run)
    # exec: XPK forwards SIGTERM to its child, which must be the training itself.
    command="exec python -m mst_jax.train $(quoted "${train[@]}")$processes"
    [[ -z $setup ]] || command="$setup && $command"
    run xpk workload create "${where[@]}" --workload "$name" --device-type "$type" \
      "${count[@]}" "${machine_flags[@]}" --docker-image "$image" --max-restarts "$restarts" \
      --restart-on-exit-codes "$PREEMPTED" --termination-grace-period-seconds 120 \
      --command "$command"
    ;;
  logs)
    run kubectl logs --follow --selector \
      "jobset.sigs.k8s.io/jobset-name=$name,batch.kubernetes.io/job-completion-index=0"
    ;;
  delete) run xpk workload delete "${where[@]}" --workload "$name" --force ;;
  delete-cluster) run xpk cluster delete "${where[@]}" --force ;;
esac
