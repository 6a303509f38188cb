import subprocess
import time

import pytest

from tests.helpers.launch_stage import Stage

WHERE = ("--cluster", "c", "--zone", "z")
IMAGE = ("--image", "r/mst_jax:1")
TRAIN = ("--", "--config", "c.py", "--workdir", "gs://b/r")
TRAINED = "exec python -m mst_jax.train --config c.py --workdir gs://b/r"
LOG = "jobset.sigs.k8s.io/jobset-name=w,batch.kubernetes.io/job-completion-index=0"


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path, "xpk", "docker", "kubectl")


@pytest.mark.parametrize(
    ("action", "commands"),
    [
        (
            ["cluster", *WHERE, "--type", "v4-32", "--num", "2", "--spot"],
            [
                "xpk cluster create --cluster c --zone z --device-type v4-32 "
                "--num-slices 2 --spot"
            ],
        ),
        (
            ["image", "--type", "v4-32", *IMAGE],
            [
                "docker build --file launch/Dockerfile --build-arg EXTRA=tpu "
                "--tag r/mst_jax:1 .",
                "docker push r/mst_jax:1",
            ],
        ),
        (
            ["image", "--type", "h100-80gb-8", *IMAGE],
            [
                "docker build --file launch/Dockerfile --build-arg EXTRA=cuda12 "
                "--tag r/mst_jax:1 .",
                "docker push r/mst_jax:1",
            ],
        ),
        (
            ["run", *WHERE, "--type=v4-32", "--name=w", "--project=p", *IMAGE, *TRAIN],
            [
                "xpk workload create --cluster c --zone z --project p --workload w "
                "--device-type v4-32 --num-slices 1 --docker-image r/mst_jax:1 "
                "--max-restarts 20 --restart-on-exit-codes 75 "
                f"--termination-grace-period-seconds 120 --command '{TRAINED}'"
            ],
        ),
        (
            [
                "run",
                *WHERE,
                "--type=h100-80gb-8",
                "--num=2",
                "--name=w",
                *IMAGE,
                *TRAIN,
            ],
            [
                "xpk workload create --cluster c --zone z --workload w "
                "--device-type h100-80gb-8 --num-nodes 2 --docker-image r/mst_jax:1 "
                "--max-restarts 20 --restart-on-exit-codes 75 "
                f"--termination-grace-period-seconds 120 --command '{TRAINED} "
                "--coordinator=$JAX_COORDINATOR_ADDRESS:$JAX_COORDINATOR_PORT "
                "--num_processes=$NNODES --process_id=$NODE_RANK'"
            ],
        ),
        (["logs", "--name", "w"], [f"kubectl logs --follow --selector {LOG}"]),
        (
            ["delete", *WHERE, "--name", "w"],
            ["xpk workload delete --cluster c --zone z --workload w --force"],
        ),
        (
            ["delete-cluster", *WHERE],
            ["xpk cluster delete --cluster c --zone z --force"],
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_every_action(stage, action, commands):
    name, *flags = action
    done = stage.run("gke.sh", name, "--dry-run", *flags)
    assert done.stdout.splitlines() == commands
    assert (done.returncode, done.stderr, stage.calls) == (0, "", [])
    assert stage.run("gke.sh", name, *flags).returncode == 0
    ran = [" ".join(call) for call in stage.calls]
    assert ran == [command.replace("'", "") for command in commands]


def test_an_image_that_was_not_built_is_not_pushed(stage):
    stage.part("docker", "1")
    assert stage.run("gke.sh", "image", "--type=v4-8", *IMAGE).returncode == 1
    assert [call[1] for call in stage.calls] == ["build"]


def test_sigterm_reaches_train_through_the_container_that_xpk_writes(tmp_path):
    """The container's bash hands SIGTERM to its child; without exec that is a bash."""
    stage = Stage(tmp_path)
    python = tmp_path / "python"
    python.write_text(
        "#!/usr/bin/env bash\ntrap 'exit 75' TERM\ntouch \"$STAGE/started\"\n"
        "for ((i = 0; i < 600; i++)); do sleep 0.05; done\n"
    )
    python.chmod(0o700)
    container = (
        "_sigterm() (kill -SIGTERM $! 2>/dev/null;); trap _sigterm SIGTERM; "
        f"({TRAINED}) & PID=$!; while kill -0 $PID 2>/dev/null; do sleep 0.1; done; "
        "wait $PID; exit $?"
    )
    shell = subprocess.Popen(["bash", "-c", container], env=stage.environment)
    patience = time.monotonic() + 30
    while not (tmp_path / "started").exists():
        assert time.monotonic() < patience
        time.sleep(0.01)
    shell.terminate()
    assert shell.wait(20) == 75
