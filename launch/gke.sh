#!/usr/bin/env bash
# Trains on GKE through XPK (pip install xpk), on TPU slices or GPU nodes.
#
#   launch/gke.sh ACTION --cluster NAME --zone ZONE [FLAGS] [-- --config FILE --workdir gs://... ...]
#
#   cluster         make a cluster with these machines
#   image           build launch/Dockerfile for them and push it
#   run             queue the training; Kubernetes starts it again when it was preempted
#   logs            follow the log of process 0
#   delete          end the training
#   delete-cluster  give the machines back
#
#   --type TYPE     such as v4-32, v5litepod-16 or h100-80gb-8 (cluster, image, run)
#   --num N         TPU slices, or GPU nodes (1)
#   --image NAME    such as REGION-docker.pkg.dev/PROJECT/REPOSITORY/mst_jax:1 (image, run)
#   --name NAME     of the training (run, logs, delete)
#   --spot          cheaper machines that may be taken away (cluster, run)
#   --project ID    (that of gcloud's configuration)
#   --restarts N    go on after preemptions so many times at most (20)
#   --dry-run       print the commands, run nothing

set -euo pipefail
script=$0
# shellcheck source=launch/flags.sh
source "$(dirname "$script")/flags.sh"

cluster='' zone='' type='' num=1 image='' name='' spot='' project='' restarts=20 dry_run=''
values='cluster zone type num image name project restarts' switches='spot dry-run'
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
kind=()
[[ -z $spot ]] || kind=(--spot)

# TPU types begin with v and the generation. JAX finds the processes of TPU slices by
# itself; those of GPU nodes are told what XPK puts into their environment.
if [[ $type =~ ^v[0-9] ]]; then
  extra=tpu count=(--num-slices "$num") processes=''
else
  extra=cuda12 count=(--num-nodes "$num")
  # shellcheck disable=SC2016 # the container's variables
  processes=' --coordinator=$JAX_COORDINATOR_ADDRESS:$JAX_COORDINATOR_PORT --num_processes=$NNODES --process_id=$NODE_RANK'
fi

case $action in
  cluster)
    run xpk cluster create "${where[@]}" --device-type "$type" "${count[@]}" "${kind[@]}"
    ;;
  image)
    run docker build --file launch/Dockerfile --build-arg "EXTRA=$extra" --tag "$image" .
    run docker push "$image"
    ;;
  run)
    # exec: XPK hands SIGTERM to its child, which must be train itself.
    run xpk workload create "${where[@]}" --workload "$name" --device-type "$type" \
      "${count[@]}" "${kind[@]}" --docker-image "$image" --max-restarts "$restarts" \
      --restart-on-exit-codes "$PREEMPTED" --termination-grace-period-seconds 120 \
      --command "exec python -m mst_jax.train $(quoted "${train[@]}")$processes"
    ;;
  logs)
    run kubectl logs --follow --selector \
      "jobset.sigs.k8s.io/jobset-name=$name,batch.kubernetes.io/job-completion-index=0"
    ;;
  delete) run xpk workload delete "${where[@]}" --workload "$name" --force ;;
  delete-cluster) run xpk cluster delete "${where[@]}" --force ;;
esac
