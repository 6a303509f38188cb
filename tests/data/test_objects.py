from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.example import Example, list_objects
from mst_jax.data.objects import (
    check_choosing,
    choose_target,
    evaluation_targets,
    list_targets,
)

LAYERS = np.zeros((2, 10, 10), np.uint16)
LAYERS[0, :4], LAYERS[0, 4:8], LAYERS[0, 9, :1] = 1, 2, 3  # 40, 40 and 1 pixels
LAYERS[1, :5] = 1
EXAMPLE = Example("stem", np.zeros((10, 10, 3), np.uint8), LAYERS)
NUM_DRAWS = 2000


def draw_areas(**options):
    rng = np.random.default_rng(0)
    samples = (choose_target(rng, EXAMPLE, **options) for _ in range(NUM_DRAWS))
    return Counter(int(sample.target.sum()) for sample in samples)


def test_layers_are_drawn_evenly_and_small_objects_not_at_all():
    areas = draw_areas(smallest=0.02, merge_prob=0.0)
    assert set(areas) == {40, 50}
    assert abs(areas[50] / NUM_DRAWS - 0.5) < 0.04  # 3.5 standard deviations


def test_an_object_of_just_the_least_share_is_not_small():
    assert set(draw_areas(smallest=0.01, merge_prob=0.0)) == {1, 40, 50}


def test_two_objects_of_a_layer_are_merged_with_the_given_probability():
    areas = draw_areas(smallest=0.02, merge_prob=0.3)
    assert set(areas) == {40, 50, 80}
    assert abs(areas[80] / (areas[40] + areas[80]) - 0.3) < 0.05


def test_small_objects_may_be_drawn_less_often():
    areas = draw_areas(smallest=0.02, small_weight=0.5, merge_prob=0.0)
    assert abs(areas[1] / (areas[1] + areas[40]) - 0.2) < 0.05


def test_only_small_objects_give_the_largest():
    sample = choose_target(np.random.default_rng(0), EXAMPLE, smallest=0.9)
    assert sample.target.sum() == 50


def test_a_picture_without_object_is_refused():
    empty = Example("blank", EXAMPLE.image, np.zeros((1, 10, 10), np.uint16))
    with pytest.raises(ValueError, match="'blank' has no object"):
        choose_target(np.random.default_rng(0), empty)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_same_chance_gives_the_same_target(seed):
    first, second = (choose_target(np.random.default_rng(seed), EXAMPLE) for _ in "ab")
    np.testing.assert_array_equal(first.target, second.target)


def test_each_object_is_evaluated_once():
    single = Example("alone", EXAMPLE.image, LAYERS[1:])
    found = list(evaluation_targets([EXAMPLE, single]))
    names = ["stem/0/1", "stem/0/2", "stem/0/3", "stem/1/1", "alone"]
    assert [item.id for item in found] == names
    assert [int(item.target.sum()) for item in found] == [40, 40, 1, 50, 50]
    assert all(item.image is EXAMPLE.image for item in found)
    assert len(found) - 1 == len(list_objects(LAYERS))


def test_small_objects_are_left_out_of_evaluation_but_names_stay():
    found = list_targets(EXAMPLE, min_area=0.45)
    assert [item.id for item in found] == ["stem/1/1"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"smallest": 1.1},
        {"smallest": "tiny"},
        {"small_weight": -1},
        {"small_weight": float("nan")},
        {"merge_prob": True},
        {"merge_prob": None},
    ],
    ids=str,
)
def test_wrong_choosing_is_refused(wrong):
    right = dict(smallest=0, small_weight=1.0, merge_prob=0.15)
    check_choosing(**right)
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is .*, expected 0 to"):
        check_choosing(**right | wrong)
