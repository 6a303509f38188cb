"""Properties of all launch scripts: clean bash, help, clear errors for wrong flags."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mst_jax.training.preemption import EXIT_CODES
from tests.helpers.fake_commands import LAUNCH, FakeCommands

SCRIPTS = sorted(path.name for path in LAUNCH.glob("*.sh"))
COMMANDS = sorted(set(SCRIPTS) - {"flags.sh"})
TRAIN = ("--", "--config", "c.py", "--workdir", "gs://b/r")
TPU = ("--name", "n", "--zone", "z", "--type", "v4-32")
GKE = ("--cluster", "c", "--zone", "z", "--type", "v4-32", "--image", "i")


def test_shellcheck_has_no_findings():
    beside_python = Path(sys.executable).with_name("shellcheck")
    shellcheck = beside_python if beside_python.exists() else shutil.which("shellcheck")
    command = [str(shellcheck), "--external-sources", *(f"launch/{x}" for x in SCRIPTS)]
    process = subprocess.run(command, cwd=LAUNCH.parent, capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (0, "")


@pytest.mark.parametrize("script", COMMANDS)
def test_scripts_stop_at_errors_and_explain_all_flags(script, tmp_path):
    text = (LAUNCH / script).read_text()
    assert "\nset -euo pipefail\n" in text
    process = FakeCommands(tmp_path).run(script, "--help")
    assert (process.returncode, process.stderr) == (0, "")
    declared = re.findall(r"^values='(.*)' switches='(.*)'$", text, re.M)[0]
    explained = set(re.findall(r"--([a-z-]+)", process.stdout))
    assert set(" ".join(declared).split()) <= explained


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["local.sh", "--fast"], "local.sh: unknown flag --fast, see --help"),
        (["local.sh"], "local.sh: nothing to train; expected -- --config FILE"),
        (["local.sh", "train"], "unexpected 'train'; flags of the training follow --"),
        (["local.sh", "--restarts"], "--restarts needs a value, see --help"),
        (["local.sh", "--restarts=", *TRAIN], "--restarts needs a value"),
        (["local.sh", "--restarts", "--dry-run"], "--restarts needs a value"),
        (["local.sh", "--restarts=-1", *TRAIN], "'-1', expected a whole number, 0 or"),
        (["local.sh", "--dry-run=no", *TRAIN], "--dry-run takes no value, got"),
        (["tpu.sh"], "expected create, install, run, delete or all, got ''"),
        (["tpu.sh", "stop", *TPU], "or all, got 'stop', see --help"),
        (["tpu.sh", "create", *TPU[:4]], "tpu.sh: --type is missing, see --help"),
        (["tpu.sh", "delete", "--name", "n"], "--zone is missing"),
        (["tpu.sh", "run", *TPU], "nothing to train"),
        (["tpu.sh", "all", *TPU, "--pause=x", *TRAIN], "--pause is 'x', expected"),
        (
            ["tpu.sh", "all", *TPU, "--", "--workdir", "runs/a"],
            "expected --workdir gs://BUCKET/RUN after --",
        ),
        (["slurm.sh", "--nodes", "2", *TRAIN], "slurm.sh: --gpus is missing"),
        (["slurm.sh", "--nodes=0", "--gpus=8", *TRAIN], "'0', expected a whole number"),
        (["gke.sh", "go"], "expected cluster, image, run, logs, delete or delete-clu"),
        (["gke.sh", "run", *GKE, *TRAIN], "--name is missing"),
        (["gke.sh", "cluster", *GKE, "--num", "two"], "--num is 'two', expected"),
        (["gke.sh", "run", *GKE, "--name=w", "--", "--workdir=/r"], "gs://BUCKET/RUN"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_sentence_and_runs_nothing(tmp_path, command, sentence):
    fakes = FakeCommands(
        tmp_path, "python", "gcloud", "xpk", "sbatch", "srun", "docker"
    )
    process = fakes.run(*command)
    assert process.returncode == 2
    assert process.stdout == "" and fakes.calls == []
    assert sentence in process.stderr and process.stderr.count("\n") == 1


def test_exit_code_of_a_preempted_run_is_the_same_everywhere():
    pages = {path: (LAUNCH / path).read_text() for path in ("flags.sh", "README.md")}
    preempted, stopped = EXIT_CODES[signal.SIGTERM], EXIT_CODES[signal.SIGINT]
    assert f"readonly PREEMPTED={preempted}\n" in pages["flags.sh"]
    for code in (preempted, stopped):
        assert f"| {code} |" in pages["README.md"]
