import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.example import ObjectId
from mst_jax.data.formats.instance_masks import (
    find_duplicates,
    find_known_objects,
    find_parents,
    join_object_ids,
    list_part_rows,
    stack_layers,
)


def draw_mask(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


PERSON = draw_mask("####.", "####.", "####.")
TIE = draw_mask(".#...", ".#...", ".....")
KNOT = draw_mask(".#...", ".....", ".....")
DOG = draw_mask("....#", "....#", "....#")
ALL_MASKS = [KNOT, PERSON, DOG, TIE]


def test_largest_object_is_stacked_first_and_overlaps_go_to_the_next_layer():
    layers, object_ids = stack_layers(ALL_MASKS)
    assert object_ids == [
        ObjectId(2, 1),
        ObjectId(0, 1),
        ObjectId(0, 2),
        ObjectId(1, 1),
    ]
    np.testing.assert_array_equal(
        layers,
        [
            [[1, 1, 1, 1, 2]] * 3,
            [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0] * 5],
            [[0, 1, 0, 0, 0], [0] * 5, [0] * 5],
        ],
    )


@given(seed=st.integers(0, 2**32 - 1))
def test_every_object_is_complete_under_its_id(seed):
    rng = np.random.default_rng(seed)
    masks = [rng.random((4, 5)) < rng.random() for _ in range(6)]
    masks = [mask for mask in masks if mask.any()]
    if not masks:
        return
    layers, object_ids = stack_layers(masks)
    for mask, (layer, label) in zip(masks, object_ids, strict=True):
        np.testing.assert_array_equal(layers[layer] == label, mask)
    assert sum(labels.max() for labels in layers) == len(masks)


def test_parent_is_the_smallest_object_that_holds_the_part():
    assert find_parents(ALL_MASKS) == [3, None, None, 1]
    _, object_ids = stack_layers(ALL_MASKS)
    rows = list_part_rows(find_parents(ALL_MASKS), object_ids)
    assert rows == [(2, 1, 1, 1), (1, 1, 0, 1)]


def test_row_of_parts_is_part_then_parent():
    assert join_object_ids(ObjectId(2, 5), ObjectId(0, 7)) == (2, 5, 0, 7)


def test_more_than_80_percent_of_a_part_must_lie_in_its_parent():
    parent = draw_mask("####.", "####.", ".....")
    four_fifths = draw_mask("####.", ".....", "#....")
    five_sixths = draw_mask("####.", "#....", "#....")
    assert find_parents([parent, four_fifths]) == [None, None]
    assert find_parents([parent, five_sixths]) == [None, 0]


def test_equal_objects_are_not_parents_of_each_other():
    assert find_parents([PERSON, PERSON.copy()]) == [None, 0]


def test_earlier_of_two_duplicates_is_found():
    almost_person = PERSON.copy()
    almost_person[0, 0] = False  # IoU 11 / 12
    masks = [PERSON, DOG, almost_person]
    assert find_duplicates(masks, min_iou=0.9) == {0}
    assert find_duplicates(masks, min_iou=0.92) == set()


def test_known_objects_are_found_by_iou():
    almost_person = PERSON.copy()
    almost_person[0, 0] = False  # IoU 11 / 12
    masks, known_masks = [almost_person, DOG], [TIE, PERSON]
    assert find_known_objects(masks, known_masks, min_iou=0.9) == {0}
    assert find_known_objects(masks, known_masks, min_iou=0.92) == set()
    assert find_known_objects([almost_person], [], min_iou=0.0) == set()
