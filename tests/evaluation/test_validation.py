import dataclasses

import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from mst_jax.evaluation import validation
from mst_jax.evaluation.ahead_of_time import _compile_for_shapes
from mst_jax.evaluation.batched import simulate_batched
from mst_jax.evaluation.evaluation_task import default_batch_size
from mst_jax.evaluation.metrics import clicks_needed
from mst_jax.evaluation.protocol import EvaluationProtocol
from mst_jax.evaluation.validation import ValidationOptions, make_validation_task
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.models.build import build
from mst_jax.models.load import TrainedModel
from tests.helpers.random_models import SMALL_SIMPLECLICK, random_params
from tests.helpers.tiny_run import draw_scenes

ZOOM = ZoomOptions(size=32, min_side=16, flip_tta=False)


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    folder = draw_scenes(tmp_path_factory.mktemp("data"))
    return ValidationOptions(
        name="shapes",
        data_dir=str(folder),
        split="train",
        limit=5,
        max_clicks=4,
        iou_percent=85,
    )


@pytest.fixture(scope="module")
def task(options):
    return make_validation_task(options, ZOOM)


@pytest.fixture(scope="module")
def model():
    module = build("simpleclick", **SMALL_SIMPLECLICK | {"depth": 1})
    config = FrozenConfigDict({"model": {"name": "simpleclick"}})
    return TrainedModel(random_params(module), module, config)


def test_the_sums_are_those_of_the_evaluation(task, model):
    sums = validation.validation_sums(model, task)
    targets = list(task.iterate_targets(task.open_dataset()))
    protocol = EvaluationProtocol(max_clicks=4, zoom=ZOOM)
    # The batch size of the validation: the same program runs.
    batch_size = default_batch_size()
    sessions = simulate_batched(
        model, targets, batch_size=batch_size, protocol=protocol
    )
    curves = [session.ious for _, session in sessions]
    assert sums["objects"] == len(targets) == 5
    for percent in (80, 85):
        expected = sum(
            clicks_needed(ious, target_iou=percent / 100, max_clicks=4)
            for ious in curves
        )
        assert sums[f"noc{percent}"] == expected
    np.testing.assert_allclose(sums["iou1"], sum(ious[0] for ious in curves), rtol=1e-5)
    assert "noc90" not in sums
    means = validation.mean_metrics(sums, task)
    assert means["validation_noc85"] == sums["noc85"] / 5 and len(means) == 3


def test_other_parameters_are_not_compiled_again(task, model):
    validation.validation_sums(model, task)
    num_compiled = _compile_for_shapes.cache_info().misses
    negated = jax.tree.map(lambda leaf: -leaf, model.params)
    other_model = TrainedModel(negated, model.module, model.config)
    validation.validation_sums(other_model, task)
    assert _compile_for_shapes.cache_info().misses == num_compiled


def test_the_sums_of_several_processes_add_up(task, model):
    total = validation.validation_sums(model, task)
    parts = [validation.validation_sums(model, task, shard=(i, 2)) for i in range(2)]
    assert [part["objects"] for part in parts] == [3, 2]
    for name in total:
        part_sum = sum(part[name] for part in parts)
        np.testing.assert_allclose(part_sum, total[name], rtol=1e-6)


def test_a_dataset_without_objects_is_named(task):
    with pytest.raises(ValueError, match="shapes has no object in split 'train'"):
        validation.mean_metrics({"objects": 0.0, "noc80": 0.0}, task)


def test_without_a_name_there_is_no_task():
    assert make_validation_task(ValidationOptions(), ZOOM) is None


def test_limit_zero_is_all_objects(options):
    task = make_validation_task(dataclasses.replace(options, limit=0), ZOOM)
    assert task.limit is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iou_percent": 70}, "iou_percent is 70, choose one of 80, 85, 90, 95"),
        ({"limit": -1}, "limit is -1, expected 0 or more"),
        ({"every": 0}, "every is 0, expected 1 or more"),
        ({"max_clicks": 0}, "max_clicks is 0"),
        ({"split": "nowhere"}, "nowhere"),
    ],
)
def test_wrong_values_are_named(options, changes, message):
    with pytest.raises(ValueError, match=message):
        make_validation_task(dataclasses.replace(options, **changes), ZOOM)
