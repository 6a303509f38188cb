from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.example import Example, list_objects
from mst_jax.data.targets import (
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


# A car of 60 pixels on a road; two wheels and a door on the car, in a second layer; a hub
# on the first wheel, in a third; sky and grass are stuff.
CAR, WHEEL, BACK, DOOR, HUB = (0, 1), (1, 1), (1, 2), (1, 3), (2, 1)
SCENE = np.zeros((3, 10, 10), np.uint16)
SCENE[0, 4:] = 1
SCENE[1, 8:, :3], SCENE[1, 8:, 7:], SCENE[1, 4:8, 4:7] = 1, 2, 3  # 6, 6, 12 pixels
SCENE[2, 8, 1] = 1
STUFF = np.zeros((1, 10, 10), np.uint16)
STUFF[0, :2], STUFF[0, 2:4] = 1, 2  # 20 pixels each
PARTS = np.array(
    [(*WHEEL, *CAR), (*BACK, *CAR), (*DOOR, *CAR), (*HUB, *WHEEL)], np.int32
)
STREET = Example("street", np.zeros((10, 10, 3), np.uint8), SCENE, PARTS, STUFF)


def draw_street(**options):
    rng = np.random.default_rng(0)
    options = dict(smallest=0.0, merge_prob=0.0) | options
    return [choose_target(rng, STREET, **options) for _ in range(NUM_DRAWS)]


def covers(sample, place):
    layer, label = place
    return bool(sample.target[SCENE[layer] == label].all())


def test_from_a_whole_the_way_leads_down_to_its_parts():
    samples = draw_street()
    whole = [sample for sample in samples if sample.target[4, 0]]
    assert abs(len(whole) / NUM_DRAWS - 0.5) < 0.04
    wheels = [s for s in samples if not s.target[4, 0] and s.target[8, 0]]
    hubs = [s for s in samples if int(s.target.sum()) == 1]
    assert abs(len(wheels) / NUM_DRAWS - 0.5 / 3 / 2) < 0.03
    assert abs(len(hubs) / NUM_DRAWS - 0.5 / 3 / 2) < 0.03


def test_up_to_three_parts_are_left_out_of_a_whole_and_are_others():
    samples = [sample for sample in draw_street() if sample.target[4, 0]]
    gone = [[not covers(s, part) for part in (WHEEL, BACK, DOOR)] for s in samples]
    counts = np.bincount(np.sum(gone, axis=1), minlength=4) / len(samples)
    np.testing.assert_allclose(counts, 0.25, atol=0.06)
    np.testing.assert_allclose(np.mean(gone, axis=0), 0.5, atol=0.06)
    for sample, (front, back, door) in zip(samples, gone, strict=True):
        assert int(sample.target.sum()) == 60 - 6 * front - 6 * back - 12 * door
        np.testing.assert_array_equal(sample.others[4:], ~sample.target[4:])


def test_a_whole_is_not_cut_down_to_something_small():
    layers = np.zeros((2, 10, 10), np.uint16)
    layers[0, 0, :4] = layers[1, 0, :2] = 1
    layers[1, 0, 2:4] = 2  # the two parts are all of the whole
    rows = np.array([(1, 1, 0, 1), (1, 2, 0, 1)], np.int32)
    example = Example("halves", STREET.image, layers, rows)
    rng = np.random.default_rng(0)
    samples = [choose_target(rng, example, smallest=0.02) for _ in range(200)]
    wholes = [sample for sample in samples if sample.target.sum() == 4]
    assert {int(sample.target.sum()) for sample in samples} == {2, 4}
    assert not any(sample.others.any() for sample in wholes)


def test_a_part_whose_whole_may_not_be_drawn_stands_for_itself():
    alone = np.zeros_like(SCENE)
    alone[1:] = SCENE[1:]
    example = Example("parts", STREET.image, alone, PARTS)
    rng = np.random.default_rng(0)
    options = dict(smallest=0.0, merge_prob=0.0, by_layer=False)
    samples = [choose_target(rng, example, **options) for _ in range(900)]
    areas = Counter(int(sample.target.sum()) for sample in samples)
    assert set(areas) == {1, 5, 6, 12}  # the wheel without its hub is 5
    assert abs(areas[12] / 900 - 1 / 3) < 0.06


def test_without_parts_all_objects_are_drawn_alike():
    samples = draw_street(by_parts=False, by_layer=False)
    areas = Counter(int(sample.target.sum()) for sample in samples)
    assert set(areas) == {60, 6, 12, 1}
    assert abs(areas[60] / NUM_DRAWS - 1 / 5) < 0.03


def test_layers_that_only_keep_apart_are_one_to_the_others():
    by_layer = draw_street(by_parts=False, by_layer=True)
    assert {bool(s.others[4, 0]) for s in by_layer if s.target[8, 1]} == {False}
    together = draw_street(by_parts=False, by_layer=False)
    assert {bool(s.others[4, 0]) for s in together if not s.target[4, 0]} == {True}


def test_stuff_may_be_wanted_with_its_probability():
    options = dict(by_parts=False, by_layer=False)
    assert not any(s.target[:4].any() for s in draw_street(**options))
    samples = draw_street(stuff_prob=0.3, **options)
    stuff = [sample for sample in samples if sample.target[:4].any()]
    assert {int(sample.target.sum()) for sample in stuff} == {20}
    assert abs(len(stuff) / NUM_DRAWS - 0.3 * 2 / 7) < 0.025
    assert all(sample.others[4:].all() for sample in stuff)
    known = [s for s in samples if s.others[0, 0] and not s.target[:4].any()]
    assert abs(len(known) / NUM_DRAWS - 0.3 * 5 / 7) < 0.04


def test_objects_of_few_pixels_are_small():
    options = dict(by_parts=False, by_layer=False)
    samples = draw_street(smallest_pixels=7, **options)
    assert {int(sample.target.sum()) for sample in samples} == {12, 60}
    exactly = draw_street(smallest_pixels=12, **options)
    assert {int(sample.target.sum()) for sample in exactly} == {12, 60}


@given(seed=st.integers(0, 2**32 - 1), by_layer=st.booleans())
def test_a_target_is_made_of_objects(seed, by_layer):
    options = dict(smallest=0.0, merge_prob=0.5, stuff_prob=0.5, by_layer=by_layer)
    sample = choose_target(np.random.default_rng(seed), STREET, **options)
    assert sample.target.any() and sample.valid.all()
    assert not (sample.target & sample.others).any()
    cell = SCENE[0] + 10 * SCENE[1] + 100 * SCENE[2] + 1000 * STUFF[0]
    for value in np.unique(cell[sample.target]):
        assert value and sample.target[cell == value].all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"smallest": 1.1},
        {"smallest": "tiny"},
        {"smallest_pixels": -1},
        {"small_weight": -1},
        {"small_weight": float("nan")},
        {"merge_prob": True},
        {"merge_prob": None},
        {"stuff_prob": 30},
        {"by_layer": 1},
        {"by_parts": "no"},
    ],
    ids=str,
)
def test_wrong_choosing_is_refused(wrong):
    right = dict(
        smallest=0,
        smallest_pixels=1000,
        small_weight=1.0,
        merge_prob=0.15,
        stuff_prob=0.3,
        by_layer=False,
        by_parts=True,
    )
    check_choosing(**right)
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is .*, expected (0 to|True)"):
        check_choosing(**right | wrong)
