"""The script for a machine with a GPU runs on a CPU with tiny sizes."""

import json
import os
import subprocess
import sys

import pytest

from tests.helpers.notebooks import ROOT

SCRIPT = ROOT / "tools" / "on_gpu.sh"


def run_script(*arguments, **variables):
    return subprocess.run(
        ["sh", str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable, "JAX_PLATFORMS": "cpu"} | variables,
    )


@pytest.fixture(scope="module")
def tiny_report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    # A busy machine takes minutes to compile the programs.
    process = run_script(folder, "--scale", "tiny", "--seconds", 3000, LIMIT="3000")
    assert process.returncode == 0, process.stderr
    text = (folder / "report.md").read_text()
    assert text in process.stdout
    return json.loads((folder / "report.json").read_text()), text


@pytest.mark.slow
def test_every_measurement_is_made(tiny_report):
    report, _ = tiny_report
    num_rows = {name: len(rows) for name, rows in report["sections"].items()}
    assert num_rows == dict(attention=2, parity=1, training=2, evaluation=1)
    assert not report["skipped"]
    for rows in report["sections"].values():
        assert not [row["error"] for row in rows if "error" in row]


@pytest.mark.slow
def test_numbers_are_those_of_the_measurements(tiny_report):
    report, text = tiny_report
    sections = report["sections"]
    kernel, plain = sections["attention"]
    # On a CPU both are plain attention, in bfloat16.
    assert kernel["max_error"] == plain["max_error"]
    assert 0 < plain["max_error"] < 2e-2
    (parity,) = sections["parity"]
    assert parity["float32_error"] == 0 < parity["bfloat16_error"] < 0.2
    for row, batch in zip(sections["training"], (1, 2), strict=True):
        rate = row["examples_per_second"]
        assert rate == pytest.approx(batch / row["step_seconds"])
    (evaluation,) = sections["evaluation"]
    assert evaluation["clicks_per_second_batched"] > 0
    assert f"| {rate:.3g} |" in text


def test_measurements_after_the_time_limit_are_listed(tmp_path):
    process = run_script(tmp_path, "--scale", "tiny", "--seconds", "0")
    assert process.returncode == 0, process.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert not report["sections"]
    assert report["skipped"][-1] == "evaluation: simpleclick nano"
    assert "No time for: attention" in process.stdout


def test_missing_folder_is_one_sentence():
    process = run_script()
    assert process.returncode == 2
    assert process.stderr.startswith("error: no folder for the report")
