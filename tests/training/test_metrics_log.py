import json

import numpy as np
import pytest
from etils import epath

from mst_jax.training import metrics_log


def step_metrics(
    loss, learning_rate=0.0, gradient_norm=1.0, parameter_norm=2.0, **others
):
    values = dict(
        loss=loss,
        learning_rate=learning_rate,
        gradient_norm=gradient_norm,
        parameter_norm=parameter_norm,
        **others,
    )
    return {name: np.float32(value) for name, value in values.items()}


def test_means_of_a_window_and_its_last_learning_rate():
    window = [step_metrics(1, 0.5), step_metrics(3, 0.25)]
    assert metrics_log.mean_metrics(window, first_step=7) == {
        "loss": 2.0,
        "learning_rate": 0.25,
        "gradient_norm": 1.0,
        "parameter_norm": 2.0,
    }


def test_rounds_that_were_not_run_do_not_count():
    window = [
        step_metrics(1, iou_round1=first, iou_round2=second)
        for first, second in ((0.5, np.nan), (np.nan, np.nan), (1.0, np.nan))
    ]
    means = metrics_log.mean_metrics(window, first_step=1)
    assert means["iou_round1"] == 0.75 and "iou_round2" not in means


@pytest.mark.parametrize(
    ("diverged", "sentence"),
    [
        (step_metrics(np.nan), "loss is nan at step 8"),
        (step_metrics(1, gradient_norm=np.inf), "gradient_norm is inf at step 8"),
        (step_metrics(1, parameter_norm=np.inf), "parameter_norm is inf at step 8"),
    ],
)
def test_the_step_that_diverged_is_named(diverged, sentence):
    window = [step_metrics(1), diverged, step_metrics(np.nan)]
    with pytest.raises(metrics_log.DivergedError, match=sentence):
        metrics_log.mean_metrics(window, first_step=7)


def test_lines_are_appended_and_read_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics_log.append_metrics(path, 10, {"loss": 0.5})
    metrics_log.append_metrics(path, 20, {"loss": 0.25})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}]


@pytest.mark.parametrize("incomplete", ["", '{"step": 30, "lo', "{}\n"])
def test_a_resumed_run_drops_the_lines_after_its_checkpoint(tmp_path, incomplete):
    path = tmp_path / "metrics.jsonl"
    metrics_log.truncate_after(path, step=5)
    assert not path.exists()
    for step in (10, 20):
        metrics_log.append_metrics(path, step, {})
    complete = path.read_text()
    path.write_text(complete + incomplete)
    metrics_log.truncate_after(path, step=20)
    assert path.read_text() == complete
    metrics_log.truncate_after(path, step=19)
    assert path.read_text() == '{"step": 10}\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_lines_are_added_where_files_cannot_grow(tmp_path):
    """etils' path of a folder stands for a bucket."""
    path = epath.Path(tmp_path) / "metrics.jsonl"
    for step in (1, 2):
        metrics_log.append_metrics(path, step, {"loss": 0.5})
    metrics_log.append_metrics(path, 3, {})
    metrics_log.truncate_after(path, step=2)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
