import subprocess
import time

import pytest

from tests.helpers.fake_commands import FakeCommands

WHERE = ("--cluster", "c", "--zone", "z")
IMAGE = ("--image", "r/mst_jax:1")
TRAIN = ("--", "--config", "c.py", "--workdir", "gs://b/r")
TRAIN_COMMAND = "exec python -m mst_jax.train --config c.py --workdir gs://b/r"
LOG = "jobset.sigs.k8s.io/jobset-name=w,batch.kubernetes.io/job-completion-index=0"


@pytest.fixture
def fakes(tmp_path):
    return FakeCommands(tmp_path, "xpk", "docker", "kubectl")


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
                f"--termination-grace-period-seconds 120 --command '{TRAIN_COMMAND}'"
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
                f"--termination-grace-period-seconds 120 --command '{TRAIN_COMMAND} "
                "--coordinator=$JAX_COORDINATOR_ADDRESS:$JAX_COORDINATOR_PORT "
                "--num-processes=$NNODES --process-id=$NODE_RANK'"
            ],
        ),
        (
            [
                "run",
                *WHERE,
                "--type=v4-32",
                "--name=w",
                "--setup=copy a b",
                *IMAGE,
                *TRAIN,
            ],
            [
                "xpk workload create --cluster c --zone z --workload w "
                "--device-type v4-32 --num-slices 1 --docker-image r/mst_jax:1 "
                "--max-restarts 20 --restart-on-exit-codes 75 "
                "--termination-grace-period-seconds 120 "
                f"--command 'copy a b && {TRAIN_COMMAND}'"
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
def test_actions_call_the_printed_commands(fakes, action, commands):
    name, *flags = action
    process = fakes.run("gke.sh", name, "--dry-run", *flags)
    assert process.stdout.splitlines() == commands
    assert (process.returncode, process.stderr, fakes.calls) == (0, "", [])
    assert fakes.run("gke.sh", name, *flags).returncode == 0
    executed = [" ".join(call) for call in fakes.calls]
    assert executed == [command.replace("'", "") for command in commands]


def test_image_is_not_pushed_if_its_build_failed(fakes):
    fakes.set_results("docker", "1")
    assert fakes.run("gke.sh", "image", "--type=v4-8", *IMAGE).returncode == 1
    assert [call[1] for call in fakes.calls] == ["build"]


def test_sigterm_reaches_the_training_in_the_container_of_xpk(tmp_path):
    """The container's bash hands SIGTERM to its child; without exec that is a bash."""
    fakes = FakeCommands(tmp_path)
    python = tmp_path / "python"
    python.write_text(
        "#!/usr/bin/env bash\ntrap 'exit 75' TERM\ntouch \"$FAKES/started\"\n"
        "for ((i = 0; i < 600; i++)); do sleep 0.05; done\n"
    )
    python.chmod(0o700)
    container = (
        "_sigterm() (kill -SIGTERM $! 2>/dev/null;); trap _sigterm SIGTERM; "
        f"({TRAIN_COMMAND}) & PID=$!; while kill -0 $PID 2>/dev/null; do sleep 0.1; done; "
        "wait $PID; exit $?"
    )
    shell = subprocess.Popen(["bash", "-c", container], env=fakes.environment)
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    shell.terminate()
    assert shell.wait(20) == 75
