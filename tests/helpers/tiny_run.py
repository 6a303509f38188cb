"""The training command on drawn scenes, with a model and a run that take seconds."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import mst_jax
from mst_jax import prepare, train
from mst_jax.training.telemetry import MACHINE_METRICS

CONFIG = Path(__file__).with_name("tiny_config.py")


def draw_scenes(folder: Path) -> Path:
    """Prepare a small dataset of drawn scenes in a folder."""
    sizes = ["--num-train", "6", "--num-validation", "2", "--size", "48"]
    prepare.main(["shapes", "--data-dir", str(folder), *sizes])
    return folder


def make_command(data_dir: Path, workdir: Path, *changes: str) -> list[str]:
    """Return the words of the training command, with changes such as "steps=3"."""
    values = [f"data.data_dir={data_dir}", *changes]
    flags = [f"--config.{value}" for value in values]
    return ["--config", str(CONFIG), "--workdir", str(workdir), *flags]


def read_metrics(workdir: Path) -> list[dict]:
    """Read the lines of the log, without metrics that no two runs agree on."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [
        {
            name: value
            for name, value in json.loads(line).items()
            if name not in MACHINE_METRICS
        }
        for line in lines
    ]


def exit_message(capsys, arguments: list[str], code: int) -> str:
    """Run the training command in this process; return the last line of stderr.

    Args:
        capsys: Fixture that captures stderr.
        arguments: Words of the command.
        code: Exit code that the command must have.
    """
    with pytest.raises(SystemExit) as exit_:
        train.main(arguments)
    assert exit_.value.code == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


def assert_equal_runs(workdir: Path, expected: Path) -> None:
    """Assert that two runs have the same metrics and the same parameters."""
    assert read_metrics(workdir) == read_metrics(expected)
    actual_params, expected_params = (
        mst_jax.load(path).params for path in (workdir, expected)
    )
    jax.tree.map(np.testing.assert_array_equal, actual_params, expected_params)
