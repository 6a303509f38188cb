import dataclasses
import itertools
import json

import pytest
from ml_collections import FrozenConfigDict

from mst_jax.evaluation import evaluation_task
from mst_jax.evaluation.evaluation_task import (
    EvaluationTask,
    count_training_images,
    evaluate_dataset,
    find_split,
)
from mst_jax.evaluation.protocol import EvaluationProtocol, UserOptions
from mst_jax.evaluation.results_log import ResultsLog
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import analytic_model, draw_targets
from tests.helpers.tiny_run import draw_scenes

PROTOCOL = EvaluationProtocol(
    max_clicks=3,
    zoom=ZoomOptions(size=48, min_side=16),
    user=UserOptions(click_spread=0.5),
)
TASK = EvaluationTask("toys", "data", "test", num_users=2, protocol=PROTOCOL)


@pytest.fixture
def run_sessions(monkeypatch):
    """Replaces the dataset by three drawn objects; notes which sessions run."""
    targets = draw_targets([(40, 52), (61, 33), (50, 50)])
    monkeypatch.setattr(EvaluationTask, "open_dataset", lambda task: range(3))
    monkeypatch.setattr(
        EvaluationTask,
        "iterate_targets",
        lambda task, examples: (targets[index] for index in examples),
    )
    noted = []
    simulate_batched = evaluation_task.simulate_batched

    def noting_simulate(model, targets, *, seed, **options):
        for target, session in simulate_batched(model, targets, seed=seed, **options):
            noted.append((target.id, seed))
            yield target, session

    monkeypatch.setattr(evaluation_task, "simulate_batched", noting_simulate)
    return noted


def test_logged_sessions_do_not_run_again(run_sessions, tmp_path):
    log = ResultsLog(tmp_path / "a.jsonl", {})
    summary = evaluate_dataset(analytic_model, TASK, log, batch_size=2)
    all_keys = set(itertools.product(["p0", "p1", "p2"], [0, 1]))
    assert set(run_sessions) == all_keys and len(log.results) == 6
    order = [(record["id"], record["seed"]) for record in summary["objects"]]
    assert order == sorted(all_keys, key=lambda key: key[::-1])
    assert len(summary["by_user"]) == 2 and summary["num_objects"] == 3

    interrupted_log = ResultsLog(tmp_path / "b.jsonl", {})
    other_result = log.results[0] | {"dataset": "others"}
    for result in [*log.results[1:4], other_result]:
        interrupted_log.append(result)
    run_sessions.clear()
    resumed = evaluate_dataset(analytic_model, TASK, interrupted_log, batch_size=2)
    assert len(run_sessions) == 3
    for record, expected in zip(resumed["objects"], summary["objects"], strict=True):
        assert record["clicks"] == expected["clicks"]
    assert resumed["noc"] == summary["noc"]


def test_a_dataset_without_objects_is_named(run_sessions, tmp_path, monkeypatch):
    monkeypatch.setattr(
        EvaluationTask, "iterate_targets", lambda task, examples: iter(())
    )
    log = ResultsLog(tmp_path / "a.jsonl", {})
    with pytest.raises(ValueError, match="toys has no object of at least 0 of its"):
        evaluate_dataset(analytic_model, TASK, log)


def test_a_task_is_json_with_the_fields_of_its_protocol():
    values = TASK.to_json()
    assert values["num_users"] == 2 and values["max_clicks"] == 3
    assert values["zoom"]["size"] == 48 and values["user"]["click_spread"] == 0.5
    assert "protocol" not in values
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (["test", "train"], "test"),
        (["train", "validation"], "validation"),
        (["train"], "train"),
        (["all", "some"], "all"),
    ],
)
def test_the_split_for_testing_is_preferred(monkeypatch, splits, expected):
    monkeypatch.setattr(evaluation_task, "list_splits", lambda name, data_dir: splits)
    assert find_split("any", "any", FrozenConfigDict()) == expected


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        ({"name": "any", "split": "train[80%:]"}, "train[80%:]"),
        ({"name": "other", "split": "train[80%:]"}, "train"),
        ({"name": None, "split": "val"}, "train"),
    ],
)
def test_the_split_that_a_run_held_out_is_preferred(monkeypatch, validation, expected):
    monkeypatch.setattr(evaluation_task, "list_splits", lambda *_: ["train"])
    config = FrozenConfigDict({"validation": validation})
    assert find_split("any", "any", config) == expected


@pytest.mark.parametrize(
    ("data", "num_images"),
    [
        ({"name": "shapes", "split": "train[:4]"}, 4),
        ({"name": "shapes", "split": "validation"}, 0),
        ({"name": "shapes", "split": "missing"}, 0),
        ({"name": "other", "split": "train"}, 0),
        (None, 0),
    ],
)
def test_training_images_are_counted(tmp_path, data, num_images):
    draw_scenes(tmp_path)
    config = FrozenConfigDict({"data": data} if data else {})
    assert count_training_images(config, "shapes", tmp_path, "train") == num_images


@pytest.mark.parametrize(
    ("limit", "title", "counted"),
    [(None, "image", "3/3"), (2, "object", "2/2"), (8, "object", "3/3")],
)
def test_the_bar_counts_objects_if_they_are_limited(
    run_sessions, tmp_path, monkeypatch, capsys, limit, title, counted
):
    draw = EvaluationTask.iterate_targets
    monkeypatch.setattr(
        EvaluationTask,
        "iterate_targets",
        lambda task, examples: itertools.islice(draw(task, examples), task.limit),
    )
    task = dataclasses.replace(TASK, limit=limit, num_users=1)
    log = ResultsLog(tmp_path / "a.jsonl", {})
    evaluate_dataset(analytic_model, task, log)
    # A second evaluation finds all sessions in the log.
    evaluate_dataset(analytic_model, task, log)
    first_bar, second_bar = capsys.readouterr().err.strip().split("\n")
    for bar in (first_bar, second_bar):
        assert f" {counted} [" in bar.split("\r")[-1]
    assert f"{title}/s" in first_bar or f"s/{title}" in first_bar
