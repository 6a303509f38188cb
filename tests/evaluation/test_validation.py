import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from mst_jax.evaluation import validation
from mst_jax.evaluation.ahead_of_time import _compiled
from mst_jax.evaluation.batched import simulate_many
from mst_jax.evaluation.metrics import clicks_needed
from mst_jax.models.build import build
from mst_jax.models.load import TrainedModel
from tests.helpers.tiny_run import draw_scenes
from tests.models.test_simpleclick import SMALL, drawn_params

VIEW = {"zoom": 32, "zoom_min_side": 16, "mirror": False}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = draw_scenes(tmp_path_factory.mktemp("data"))
    block = dict(name="shapes", data_dir=str(folder), split="train", limit=5)
    return validation.plan_validation(VIEW, **block, max_clicks=4, quality=85)


@pytest.fixture(scope="module")
def model():
    module = build("simpleclick", **SMALL | {"depth": 1})
    config = FrozenConfigDict({"model": {"name": "simpleclick"}})
    return TrainedModel(drawn_params(module), module, config)


def test_the_sums_are_those_of_the_evaluation(task, model):
    sums = validation.click_sums(model, task)
    targets = list(task.targets(task.open()))
    played = simulate_many(model, targets, num_lanes=2, max_clicks=4, **VIEW)
    curves = [session.ious for _, session in played]
    assert sums["objects"] == len(targets) == 5
    for quality in (80, 85):
        want = sum(
            clicks_needed(ious, target_iou=quality / 100, max_clicks=4)
            for ious in curves
        )
        assert sums[f"noc{quality}"] == want
    np.testing.assert_allclose(sums["iou1"], sum(ious[0] for ious in curves), rtol=1e-5)
    assert "noc90" not in sums
    means = validation.means_of(sums, task)
    assert means["validation_noc85"] == sums["noc85"] / 5 and len(means) == 3


def test_other_parameters_compile_nothing(task, model):
    validation.click_sums(model, task)
    before = _compiled.cache_info().misses
    other = TrainedModel(
        jax.tree.map(lambda leaf: -leaf, model.params), model.module, model.config
    )
    validation.click_sums(other, task)
    assert _compiled.cache_info().misses == before


def test_the_shares_of_several_processes_add_up(task, model):
    whole = validation.click_sums(model, task)
    shares = [validation.click_sums(model, task, shard=(i, 2)) for i in range(2)]
    assert [share["objects"] for share in shares] == [3, 2]
    for name in whole:
        np.testing.assert_allclose(
            sum(share[name] for share in shares), whole[name], rtol=1e-6
        )


def test_a_set_without_objects_is_one_sentence(task):
    with pytest.raises(ValueError, match="shapes has no object in split 'train'"):
        validation.means_of({"objects": 0.0, "noc80": 0.0}, task)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"quality": 70}, "quality is 70, choose one of 80, 85, 90, 95"),
        ({"limit": -1}, "limit is -1, expected 0 or more"),
        ({"max_clicks": 0}, "max_clicks is 0"),
        ({"split": "nowhere"}, "nowhere"),
    ],
)
def test_wrong_values_are_one_sentence(task, changes, sentence):
    block = dict(name="shapes", data_dir=task.data_dir, split="train", limit=5)
    with pytest.raises(ValueError, match=sentence):
        validation.plan_validation(VIEW, **block | changes)
