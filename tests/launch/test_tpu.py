import pytest

from tests.helpers.launch_stage import Stage

NODE = ("--name", "n", "--zone", "z")
TRAIN = ("--", "--config", "c.py", "--workdir", "gs://b/r", "--config.start=a b.pth")
ALL = ("tpu.sh", "all", *NODE, "--type", "v4-32", "--pause", "0")
TPU = "gcloud compute tpus tpu-vm"
RUN = (
    f"{TPU} ssh n --worker all --command 'cd mst_jax && exec .venv/bin/python "
    "-m mst_jax.train --config c.py --workdir gs://b/r "
    r"'\''--config.start=a b.pth'\''' --zone z"
)
INSTALL = (
    "rm -rf mst_jax && mkdir mst_jax && tar -xzf mst_jax.tar.gz -C mst_jax && cd mst_jax "
    "&& python3 -m pip install --quiet --user uv "
    "&& python3 -m uv venv --quiet --python 3.11 .venv "
    "&& python3 -m uv pip install --quiet --python .venv -r requirements.txt 'jax[tpu]' "
    "-e '.[gcs]'"
)


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path, "gcloud", "git")


def test_a_dry_run_prints_every_command_and_runs_none(stage):
    done = stage.run(
        *("tpu.sh", "all", *NODE, "--type=v4-32", "--spot", "--project", "p"),
        *("--setup", "gcloud storage cp gs://b/data .", "--dry-run", *TRAIN),
    )
    quoted = INSTALL.replace("'", r"'\''")
    assert done.stdout.splitlines() == [
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
    assert (done.returncode, done.stderr, stage.calls) == (0, "", [])


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
def test_one_action_alone(stage, action, commands):
    name, *flags = action
    done = stage.run("tpu.sh", name, *NODE, "--dry-run", *flags)
    assert done.stdout.splitlines() == commands


def test_the_workers_get_the_words_as_they_were_given(stage):
    stage.run(*ALL, *TRAIN)
    (word,) = [call[-3] for call in stage.calls if "exec" in call[-3]]
    assert word.endswith("--workdir gs://b/r '--config.start=a b.pth'")


def verbs(stage):
    """What gcloud was asked to do; `run` among the ssh is the training."""
    told = [call[4] for call in stage.calls if call[0] == "gcloud"]
    trained = ["exec" in " ".join(call) for call in stage.calls if call[0] == "gcloud"]
    return [
        "run" if is_run else verb for verb, is_run in zip(told, trained, strict=True)
    ]


MADE = ["create", "scp", "ssh"]


@pytest.mark.parametrize(
    ("story", "expected", "code"),
    [
        (["0"], ["run"], 0),
        # A failure of train: its code, and the machines are given back.
        (["1", "0 READY"], ["run", "describe"], 1),
        # Told to stop, but the machines are still there.
        (["75", "0 READY", "0"], ["run", "describe", "run"], 0),
        # The machines were taken away; ssh has its own code then.
        (
            ["255", "0 PREEMPTED", "0", "0", "0", "0", "0"],
            ["run", "describe", "delete", *MADE, "run"],
            0,
        ),
        # They are gone altogether, and at first there are no others.
        (
            ["75", "1", "1", "1", "0", "0", "0", "0"],
            ["run", "describe", "create", "describe", *MADE, "run"],
            0,
        ),
        # Not for ever.
        (["75", "0 READY"] * 9, ["run", "describe"] * 3, 75),
    ],
    ids=["done", "failed", "told", "preempted", "gone", "too often"],
)
def test_preempted_machines_are_made_anew(stage, story, expected, code):
    stage.part("gcloud", "0", "0", "0", *story)
    done = stage.run(*ALL, "--restarts", "2", *TRAIN)
    assert verbs(stage) == [*MADE, *expected, "delete"], done.stderr
    assert done.returncode == code


def test_machines_that_were_not_made_here_are_not_deleted(stage):
    stage.part("gcloud", "1")
    assert stage.run(*ALL, *TRAIN).returncode == 1
    assert verbs(stage) == ["create"]
