import pytest

from tests.helpers.launch_stage import LAUNCH, Stage

TRAIN = ("--", "--config", "c.py", "--workdir", "my runs")
SRUN = "srun --kill-on-bad-exit=0 .venv/bin/python -m mst_jax.train --config c.py"


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path, "sbatch", "srun", "scontrol")


def test_a_dry_run_prints_both_sides_and_submits_nothing(stage):
    flags = ("--nodes", "2", "--gpus", "8", "--partition", "a100", "--time=1:00:00")
    done = stage.run("slurm.sh", *flags, "--dry-run", *TRAIN)
    assert done.stdout.splitlines() == [
        "sbatch --nodes 2 --gpus-per-node 8 --ntasks-per-node 8 --cpus-per-task 8 "
        "--partition a100 --time 1:00:00 launch/slurm_job.sh --restarts 20 "
        "-- --config c.py --workdir 'my runs'",
        "# on the nodes:",
        f"{SRUN} --workdir 'my runs'",
        "# preempted: scontrol requeue, up to 20 times",
    ]
    assert (done.returncode, done.stderr, stage.calls) == (0, "", [])


def test_the_job_is_submitted_with_its_words(stage):
    stage.run("slurm.sh", "--nodes=1", "--gpus=4", "--cpus=3", "--restarts=5", *TRAIN)
    assert stage.calls == [
        [
            *("sbatch", "--nodes", "1", "--gpus-per-node", "4"),
            *("--ntasks-per-node", "4", "--cpus-per-task", "3"),
            *("launch/slurm_job.sh", "--restarts", "5", *TRAIN),
        ]
    ]


@pytest.mark.parametrize(
    ("code", "before", "requeued"),
    [(0, 0, False), (75, 0, True), (75, 4, True), (75, 5, False), (1, 0, False)],
)
def test_a_preempted_job_is_queued_again(stage, code, before, requeued):
    stage.part("srun", str(code))
    # As Slurm does: a copy somewhere else, started in the checkout.
    spooled = stage.folder / "slurm_script"
    spooled.write_text((LAUNCH / "slurm_job.sh").read_text())
    spooled.chmod(0o700)
    done = stage.run(
        *(str(spooled), "--restarts", "5", *TRAIN),
        SLURM_JOB_ID="42",
        SLURM_RESTART_COUNT=str(before),
    )
    assert done.returncode == code, done.stderr
    srun, *more = stage.calls
    assert srun == [*SRUN.split(), "--workdir", "my runs"]
    assert more == [["scontrol", "requeue", "42"]] * requeued


def test_the_job_saves_before_its_time_is_over():
    lines = (LAUNCH / "slurm_job.sh").read_text().splitlines()
    asked = {line for line in lines if line.startswith("#SBATCH")}
    wanted = ("--requeue", "--open-mode=append", "--signal=TERM@120")
    assert {f"#SBATCH {word}" for word in wanted} < asked
    first_command = next(i for i, line in enumerate(lines) if line[:1] not in ("#", ""))
    assert all(i < first_command for i, line in enumerate(lines) if line in asked)
