import pytest

from tests.helpers.fake_commands import LAUNCH, FakeCommands

TRAIN = ("--", "--config", "c.py", "--workdir", "my runs")
SRUN = "srun --kill-on-bad-exit=0 .venv/bin/python -m mst_jax.train --config c.py"


@pytest.fixture
def fakes(tmp_path):
    return FakeCommands(tmp_path, "sbatch", "srun", "scontrol")


def test_dry_run_prints_both_commands_and_submits_nothing(fakes):
    flags = ("--nodes", "2", "--gpus", "8", "--partition", "a100", "--time=1:00:00")
    process = fakes.run("slurm.sh", *flags, "--dry-run", *TRAIN)
    assert process.stdout.splitlines() == [
        "sbatch --nodes 2 --gpus-per-node 8 --ntasks-per-node 8 --cpus-per-task 8 "
        "--partition a100 --time 1:00:00 launch/slurm_job.sh --restarts 20 "
        "-- --config c.py --workdir 'my runs'",
        "# on the nodes:",
        f"{SRUN} --workdir 'my runs'",
        "# preempted: scontrol requeue, up to 20 times",
    ]
    assert (process.returncode, process.stderr, fakes.calls) == (0, "", [])


def test_job_is_submitted_with_the_words_of_the_training(fakes):
    fakes.run("slurm.sh", "--nodes=1", "--gpus=4", "--cpus=3", "--restarts=5", *TRAIN)
    assert fakes.calls == [
        [
            *("sbatch", "--nodes", "1", "--gpus-per-node", "4"),
            *("--ntasks-per-node", "4", "--cpus-per-task", "3"),
            *("launch/slurm_job.sh", "--restarts", "5", *TRAIN),
        ]
    ]


@pytest.mark.parametrize(
    ("code", "num_restarts", "is_requeued"),
    [(0, 0, False), (75, 0, True), (75, 4, True), (75, 5, False), (1, 0, False)],
)
def test_preempted_job_is_queued_again(fakes, code, num_restarts, is_requeued):
    fakes.set_results("srun", str(code))
    # Like Slurm: a copy of the script in another folder, started in the checkout.
    spooled = fakes.folder / "slurm_script"
    spooled.write_text((LAUNCH / "slurm_job.sh").read_text())
    spooled.chmod(0o700)
    process = fakes.run(
        *(str(spooled), "--restarts", "5", *TRAIN),
        SLURM_JOB_ID="42",
        SLURM_RESTART_COUNT=str(num_restarts),
    )
    assert process.returncode == code, process.stderr
    srun_call, *other_calls = fakes.calls
    assert srun_call == [*SRUN.split(), "--workdir", "my runs"]
    assert other_calls == [["scontrol", "requeue", "42"]] * is_requeued


def test_job_gets_sigterm_before_its_time_limit():
    lines = (LAUNCH / "slurm_job.sh").read_text().splitlines()
    options = {line for line in lines if line.startswith("#SBATCH")}
    expected = ("--requeue", "--open-mode=append", "--signal=TERM@120")
    assert {f"#SBATCH {word}" for word in expected} < options
    first_command = next(i for i, line in enumerate(lines) if line[:1] not in ("#", ""))
    assert all(i < first_command for i, line in enumerate(lines) if line in options)
