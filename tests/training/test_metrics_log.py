import json

import numpy as np
import pytest
from etils import epath

from mst_jax.training import metrics_log


def row(loss, rate=0.0, norm=1.0, size=2.0):
    values = {"loss": loss, "learning_rate": rate}
    values |= {"gradient_norm": norm, "parameter_norm": size}
    return {name: np.float32(value) for name, value in values.items()}


def test_means_of_a_window_and_its_last_learning_rate():
    means = metrics_log.mean_of_steps([row(1, 0.5), row(3, 0.25)], first_step=7)
    assert means == {
        "loss": 2.0,
        "learning_rate": 0.25,
        "gradient_norm": 1.0,
        "parameter_norm": 2.0,
    }


def test_rounds_that_were_not_played_do_not_count():
    rows = [
        row(1) | {"iou_round1": np.float32(one), "iou_round2": np.float32(two)}
        for one, two in ((0.5, np.nan), (np.nan, np.nan), (1.0, np.nan))
    ]
    means = metrics_log.mean_of_steps(rows, first_step=1)
    assert means["iou_round1"] == 0.75 and "iou_round2" not in means


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (row(np.nan), "loss is nan at step 8"),
        (row(1, norm=np.inf), "gradient_norm is inf at step 8"),
        (row(1, size=np.inf), "parameter_norm is inf at step 8"),
    ],
)
def test_the_step_that_diverged_is_named(bad, sentence):
    with pytest.raises(metrics_log.Diverged, match=sentence):
        metrics_log.mean_of_steps([row(1), bad, row(np.nan)], first_step=7)


def test_lines_are_appended_and_read_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics_log.write_line(path, 10, {"loss": 0.5})
    metrics_log.write_line(path, 20, {"loss": 0.25})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}]


@pytest.mark.parametrize("torn", ["", '{"step": 30, "lo', "{}\n"])
def test_a_resumed_run_forgets_what_came_after_its_checkpoint(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    metrics_log.keep_until(path, step=5)
    assert not path.exists()
    for step in (10, 20):
        metrics_log.write_line(path, step, {})
    before = path.read_text()
    path.write_text(before + torn)
    metrics_log.keep_until(path, step=20)
    assert path.read_text() == before
    metrics_log.keep_until(path, step=19)
    assert path.read_text() == '{"step": 10}\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_lines_are_added_where_files_cannot_grow(tmp_path):
    """etils' path of a folder stands for a bucket."""
    path = epath.Path(tmp_path) / "metrics.jsonl"
    for step in (1, 2):
        metrics_log.write_line(path, step, {"loss": 0.5})
    metrics_log.write_line(path, 3, {})
    metrics_log.keep_until(path, step=2)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
