import pytest

from tests.helpers.fake_commands import FakeCommands

NODE = ("--name", "n", "--zone", "z")
TRAIN = (
    "--",
    "--config",
    "c.py",
    "--workdir",
    "gs://b/r",
    "--config.init_from=a b.pth",
)
ALL = ("tpu.sh", "all", *NODE, "--type", "v4-32", "--pause", "0")
TPU = "gcloud compute tpus tpu-vm"
RUN = (
    f"{TPU} ssh n --worker all --command 'cd mst_jax && exec .venv/bin/python "
    "-m mst_jax.train --config c.py --workdir gs://b/r "
    r"'\''--config.init_from=a b.pth'\''' --zone z"
)
INSTALL = (
    "rm -rf mst_jax && mkdir mst_jax && tar -xzf mst_jax.tar.gz -C mst_jax && cd mst_jax "
    "&& python3 -m pip install --quiet --user uv "
    "&& python3 -m uv venv --quiet --python 3.12 .venv "
    "&& python3 -m uv pip install --quiet --python .venv -r requirements.txt 'jax[tpu]' "
    "-e '.[gcs]'"
)


@pytest.fixture
def fakes(tmp_path):
    return FakeCommands(tmp_path, "gcloud", "git")


def test_dry_run_prints_every_command_and_runs_none(fakes):
    process = fakes.run(
        *("tpu.sh", "all", *NODE, "--type=v4-32", "--spot", "--project", "p"),
        *("--setup", "gcloud storage cp gs://b/data .", "--dry-run", *TRAIN),
    )
    quoted = INSTALL.replace("'", r"'\''")
    assert process.stdout.splitlines() == [
        f"{TPU} create n --accelerator-type v4-32 --version tpu-ubuntu2204-base --spot "
        "--zone z --project p",
        "git archive --format tar.gz --output /t/mst_jax-n.tar.gz HEAD",
        f"{TPU} scp /t/mst_jax-n.tar.gz n:mst_jax.tar.gz --worker all "
        "--zone z --project p",
        f"{TPU} ssh n --worker all --command '{quoted}' --zone z --project p",
        f"{TPU} ssh n --worker all --command "
        "'cd mst_jax && gcloud storage cp gs://b/data .' --zone z --project p",
        f"{RUN} --project p",
        "# preempted: delete, create, install, run again, up to 20 times",
        f"{TPU} delete n --quiet --zone z --project p",
    ]
    assert (process.returncode, process.stderr, fakes.calls) == (0, "", [])


@pytest.mark.parametrize(
    ("action", "commands"),
    [
        (
            ["create", "--type", "v5litepod-8", "--version", "v2-alpha-tpuv5-lite"],
            [
                f"{TPU} create n --accelerator-type v5litepod-8 "
                "--version v2-alpha-tpuv5-lite --zone z"
            ],
        ),
        (
            ["run", "--type", "v4-32", *TRAIN],
            [RUN, "# preempted: delete, create, install, run again, up to 20 times"],
        ),
        (["delete"], [f"{TPU} delete n --quiet --zone z"]),
    ],
)
def test_single_actions(fakes, action, commands):
    name, *flags = action
    process = fakes.run("tpu.sh", name, *NODE, "--dry-run", *flags)
    assert process.stdout.splitlines() == commands


def test_workers_get_the_words_unchanged(fakes):
    fakes.run(*ALL, *TRAIN)
    (word,) = [call[-3] for call in fakes.calls if "exec" in call[-3]]
    assert word.endswith("--workdir gs://b/r '--config.init_from=a b.pth'")


def gcloud_actions(fakes):
    """Return the actions of gcloud; the ssh that trains is called `run`."""
    actions = [call[4] for call in fakes.calls if call[0] == "gcloud"]
    is_training = [
        "exec" in " ".join(call) for call in fakes.calls if call[0] == "gcloud"
    ]
    return [
        "run" if trains else action
        for action, trains in zip(actions, is_training, strict=True)
    ]


CREATE_ACTIONS = ["create", "scp", "ssh"]


@pytest.mark.parametrize(
    ("results", "expected", "code"),
    [
        (["0"], ["run"], 0),
        # The training fails: its exit code, and the machines are deleted.
        (["1", "0 READY"], ["run", "describe"], 1),
        # The training was stopped, but the machines are still there.
        (["75", "0 READY", "0"], ["run", "describe", "run"], 0),
        # The machines were taken away; ssh has its own code then.
        (
            ["255", "0 PREEMPTED", "0", "0", "0", "0", "0"],
            ["run", "describe", "delete", *CREATE_ACTIONS, "run"],
            0,
        ),
        # They no longer exist, and at first no others can be created.
        (
            ["75", "1", "1", "1", "0", "0", "0", "0"],
            ["run", "describe", "create", "describe", *CREATE_ACTIONS, "run"],
            0,
        ),
        # At most --restarts times.
        (["75", "0 READY"] * 9, ["run", "describe"] * 3, 75),
    ],
    ids=["done", "failed", "stopped", "preempted", "gone", "too often"],
)
def test_preempted_machines_are_created_again(fakes, results, expected, code):
    fakes.set_results("gcloud", "0", "0", "0", *results)
    process = fakes.run(*ALL, "--restarts", "2", *TRAIN)
    assert gcloud_actions(fakes) == [*CREATE_ACTIONS, *expected, "delete"], (
        process.stderr
    )
    assert process.returncode == code


def test_machines_that_were_not_created_are_not_deleted(fakes):
    fakes.set_results("gcloud", "1")
    assert fakes.run(*ALL, *TRAIN).returncode == 1
    assert gcloud_actions(fakes) == ["create"]
