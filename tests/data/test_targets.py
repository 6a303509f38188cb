import functools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.config_options import options_from_config
from mst_jax.data.example import Example, list_objects
from mst_jax.data.targets import (
    TargetSampling,
    evaluation_targets,
    example_targets,
    sample_target,
)

LAYERS = np.zeros((2, 10, 10), np.uint16)
LAYERS[0, :4], LAYERS[0, 4:8], LAYERS[0, 9, :1] = 1, 2, 3  # 40, 40 and 1 pixels
LAYERS[1, :5] = 1
EXAMPLE = Example("stem", np.zeros((10, 10, 3), np.uint8), LAYERS)
NUM_DRAWS = 2000


def draw_areas(**options):
    rng = np.random.default_rng(0)
    sampling = TargetSampling(**options)
    samples = (sample_target(rng, EXAMPLE, sampling) for _ in range(NUM_DRAWS))
    return Counter(int(sample.target.sum()) for sample in samples)


def test_layers_are_sampled_uniformly_and_small_objects_never():
    areas = draw_areas(min_area_fraction=0.02, merge_prob=0.0)
    assert set(areas) == {40, 50}
    assert abs(areas[50] / NUM_DRAWS - 0.5) < 0.04  # 3.5 standard deviations


def test_object_of_exactly_the_min_area_is_not_small():
    assert set(draw_areas(min_area_fraction=0.01, merge_prob=0.0)) == {1, 40, 50}


def test_two_objects_of_a_layer_are_merged_with_the_given_probability():
    areas = draw_areas(min_area_fraction=0.02, merge_prob=0.3)
    assert set(areas) == {40, 50, 80}
    assert abs(areas[80] / (areas[40] + areas[80]) - 0.3) < 0.05


def test_small_objects_are_sampled_by_their_weight():
    areas = draw_areas(min_area_fraction=0.02, small_weight=0.5, merge_prob=0.0)
    assert abs(areas[1] / (areas[1] + areas[40]) - 0.2) < 0.05


def test_largest_object_is_sampled_if_all_are_small():
    sampling = TargetSampling(min_area_fraction=0.9)
    sample = sample_target(np.random.default_rng(0), EXAMPLE, sampling)
    assert sample.target.sum() == 50


def test_image_without_object_is_rejected():
    empty = Example("blank", EXAMPLE.image, np.zeros((1, 10, 10), np.uint16))
    with pytest.raises(ValueError, match="'blank' has no object"):
        sample_target(np.random.default_rng(0), empty, TargetSampling())


@given(seed=st.integers(0, 2**32 - 1))
def test_same_seed_gives_the_same_target(seed):
    first, second = (
        sample_target(np.random.default_rng(seed), EXAMPLE, TargetSampling())
        for _ in "ab"
    )
    np.testing.assert_array_equal(first.target, second.target)


def test_each_object_is_evaluated_once():
    single = Example("alone", EXAMPLE.image, LAYERS[1:])
    targets = list(evaluation_targets([EXAMPLE, single]))
    expected_ids = ["stem/0/1", "stem/0/2", "stem/0/3", "stem/1/1", "alone"]
    assert [target.id for target in targets] == expected_ids
    assert [int(target.target.sum()) for target in targets] == [40, 40, 1, 50, 50]
    assert all(target.image is EXAMPLE.image for target in targets)
    assert len(targets) - 1 == len(list_objects(LAYERS))


def test_small_objects_are_left_out_of_evaluation_but_ids_stay():
    targets = example_targets(EXAMPLE, min_area_fraction=0.45)
    assert [target.id for target in targets] == ["stem/1/1"]


# A car of 60 pixels on a road; two wheels and a door on the car, in a second layer; a hub
# on the first wheel, in a third; sky and grass are stuff.
CAR, FRONT_WHEEL, REAR_WHEEL, DOOR, HUB = (0, 1), (1, 1), (1, 2), (1, 3), (2, 1)
SCENE = np.zeros((3, 10, 10), np.uint16)
SCENE[0, 4:] = 1
SCENE[1, 8:, :3], SCENE[1, 8:, 7:], SCENE[1, 4:8, 4:7] = 1, 2, 3  # 6, 6, 12 pixels
SCENE[2, 8, 1] = 1
STUFF = np.zeros((1, 10, 10), np.uint16)
STUFF[0, :2], STUFF[0, 2:4] = 1, 2  # 20 pixels each
PARTS = np.array(
    [(*FRONT_WHEEL, *CAR), (*REAR_WHEEL, *CAR), (*DOOR, *CAR), (*HUB, *FRONT_WHEEL)],
    np.int32,
)
STREET = Example("street", np.zeros((10, 10, 3), np.uint8), SCENE, PARTS, STUFF)


@functools.cache
def draw_street(*, num_draws=NUM_DRAWS, **options):
    rng = np.random.default_rng(0)
    sampling = TargetSampling(**dict(min_area_fraction=0.0, merge_prob=0.0) | options)
    return tuple(sample_target(rng, STREET, sampling) for _ in range(num_draws))


def covers_object(sample, object_id):
    layer, label = object_id
    return bool(sample.target[SCENE[layer] == label].all())


def test_parts_are_sampled_through_their_parent():
    samples = draw_street()
    cars = [sample for sample in samples if sample.target[4, 0]]
    assert abs(len(cars) / NUM_DRAWS - 0.5) < 0.04
    wheels = [s for s in samples if not s.target[4, 0] and s.target[8, 0]]
    hubs = [s for s in samples if int(s.target.sum()) == 1]
    assert abs(len(wheels) / NUM_DRAWS - 0.5 / 3 / 2) < 0.03
    assert abs(len(hubs) / NUM_DRAWS - 0.5 / 3 / 2) < 0.03


def test_up_to_three_parts_are_excluded_and_count_as_others():
    samples = [sample for sample in draw_street() if sample.target[4, 0]]
    parts = (FRONT_WHEEL, REAR_WHEEL, DOOR)
    is_excluded = [
        [not covers_object(sample, part) for part in parts] for sample in samples
    ]
    frequencies = np.bincount(np.sum(is_excluded, axis=1), minlength=4) / len(samples)
    np.testing.assert_allclose(frequencies, 0.25, atol=0.06)
    np.testing.assert_allclose(np.mean(is_excluded, axis=0), 0.5, atol=0.06)
    for sample, (front, rear, door) in zip(samples, is_excluded, strict=True):
        assert int(sample.target.sum()) == 60 - 6 * front - 6 * rear - 12 * door
        np.testing.assert_array_equal(sample.others[4:], ~sample.target[4:])


def test_exclusion_never_leaves_a_small_target():
    layers = np.zeros((2, 10, 10), np.uint16)
    layers[0, 0, :4] = layers[1, 0, :2] = 1
    layers[1, 0, 2:4] = 2  # the two parts cover their parent
    part_rows = np.array([(1, 1, 0, 1), (1, 2, 0, 1)], np.int32)
    example = Example("halves", STREET.image, layers, part_rows)
    rng = np.random.default_rng(0)
    sampling = TargetSampling(min_area_fraction=0.02)
    samples = [sample_target(rng, example, sampling) for _ in range(200)]
    parents = [sample for sample in samples if sample.target.sum() == 4]
    assert {int(sample.target.sum()) for sample in samples} == {2, 4}
    assert not any(sample.others.any() for sample in parents)


def test_part_without_its_parent_is_sampled_like_an_object():
    without_car = np.zeros_like(SCENE)
    without_car[1:] = SCENE[1:]
    example = Example("parts", STREET.image, without_car, PARTS)
    rng = np.random.default_rng(0)
    sampling = TargetSampling(min_area_fraction=0.0, merge_prob=0.0, by_layer=False)
    samples = [sample_target(rng, example, sampling) for _ in range(900)]
    areas = Counter(int(sample.target.sum()) for sample in samples)
    assert set(areas) == {1, 5, 6, 12}  # the wheel without its hub is 5
    assert abs(areas[12] / 900 - 1 / 3) < 0.06


def test_without_parts_all_objects_are_sampled_alike():
    samples = draw_street(by_parts=False, by_layer=False)
    areas = Counter(int(sample.target.sum()) for sample in samples)
    assert set(areas) == {60, 6, 12, 1}
    assert abs(areas[60] / NUM_DRAWS - 1 / 5) < 0.03


def test_layers_that_only_separate_overlaps_are_all_visible():
    by_layer = draw_street(by_parts=False, by_layer=True)
    assert {bool(s.others[4, 0]) for s in by_layer if s.target[8, 1]} == {False}
    all_layers = draw_street(by_parts=False, by_layer=False)
    assert {bool(s.others[4, 0]) for s in all_layers if not s.target[4, 0]} == {True}


def test_stuff_is_sampled_with_its_probability():
    options = dict(by_parts=False, by_layer=False)
    assert not any(s.target[:4].any() for s in draw_street(**options))
    samples = draw_street(stuff_prob=0.3, **options)
    stuff = [sample for sample in samples if sample.target[:4].any()]
    assert {int(sample.target.sum()) for sample in stuff} == {20}
    assert abs(len(stuff) / NUM_DRAWS - 0.3 * 2 / 7) < 0.025
    assert all(sample.others[4:].all() for sample in stuff)
    beside_stuff = [s for s in samples if s.others[0, 0] and not s.target[:4].any()]
    assert abs(len(beside_stuff) / NUM_DRAWS - 0.3 * 5 / 7) < 0.04


def test_objects_of_few_pixels_are_small():
    options = dict(by_parts=False, by_layer=False, num_draws=300)
    samples = draw_street(min_area_pixels=7, **options)
    assert {int(sample.target.sum()) for sample in samples} == {12, 60}
    exact_area = draw_street(min_area_pixels=12, **options)
    assert {int(sample.target.sum()) for sample in exact_area} == {12, 60}


@given(seed=st.integers(0, 2**32 - 1), by_layer=st.booleans())
def test_target_is_a_union_of_objects(seed, by_layer):
    sampling = TargetSampling(
        min_area_fraction=0.0, merge_prob=0.5, stuff_prob=0.5, by_layer=by_layer
    )
    sample = sample_target(np.random.default_rng(seed), STREET, sampling)
    assert sample.target.any() and sample.valid.all()
    assert not (sample.target & sample.others).any()
    # Every combination of objects has a code of its own.
    codes = SCENE[0] + 10 * SCENE[1] + 100 * SCENE[2] + 1000 * STUFF[0]
    for code in np.unique(codes[sample.target]):
        assert code and sample.target[codes == code].all()


@pytest.mark.parametrize(
    "wrong_option",
    [
        {"min_area_fraction": 1.1},
        {"min_area_fraction": "tiny"},
        {"min_area_pixels": -1},
        {"small_weight": -1.0},
        {"small_weight": float("nan")},
        {"merge_prob": True},
        {"merge_prob": None},
        {"stuff_prob": 30.0},
        {"by_layer": 1},
        {"by_parts": "no"},
    ],
    ids=str,
)
def test_wrong_option_is_rejected(wrong_option):
    (key,) = wrong_option
    with pytest.raises(ValueError, match=f"{key} is .*, expected (0 to|bool|float)"):
        options_from_config(TargetSampling, "config.data.target_sampling", wrong_option)


def test_right_options_are_accepted():
    TargetSampling(
        min_area_fraction=0.0,
        min_area_pixels=1000,
        small_weight=1.0,
        merge_prob=0.15,
        stuff_prob=0.3,
        by_layer=False,
        by_parts=True,
    )
