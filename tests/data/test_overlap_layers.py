import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.example import Place
from mst_jax.data.overlap_layers import (
    find_doubles,
    find_known,
    find_wholes,
    list_parts,
    stack_layers,
)


def mask(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


PERSON = mask("####.", "####.", "####.")
TIE = mask(".#...", ".#...", ".....")
KNOT = mask(".#...", ".....", ".....")
DOG = mask("....#", "....#", "....#")
ALL = [KNOT, PERSON, DOG, TIE]


def test_the_largest_come_first_and_overlaps_go_up():
    layers, places = stack_layers(ALL)
    assert places == [Place(2, 1), Place(0, 1), Place(0, 2), Place(1, 1)]
    np.testing.assert_array_equal(
        layers,
        [
            [[1, 1, 1, 1, 2]] * 3,
            [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0] * 5],
            [[0, 1, 0, 0, 0], [0] * 5, [0] * 5],
        ],
    )


@given(seed=st.integers(0, 2**32 - 1))
def test_every_object_is_found_whole_at_its_place(seed):
    rng = np.random.default_rng(seed)
    masks = [rng.random((4, 5)) < rng.random() for _ in range(6)]
    masks = [m for m in masks if m.any()]
    if not masks:
        return
    layers, places = stack_layers(masks)
    for one, (layer, label) in zip(masks, places, strict=True):
        np.testing.assert_array_equal(layers[layer] == label, one)
    assert sum(labels.max() for labels in layers) == len(masks)


def test_the_whole_is_the_smallest_that_holds_the_part():
    assert find_wholes(ALL) == [3, None, None, 1]
    _, places = stack_layers(ALL)
    assert list_parts(find_wholes(ALL), places) == [(2, 1, 1, 1), (1, 1, 0, 1)]


def test_a_part_must_lie_in_its_whole_to_more_than_80_percent():
    whole = mask("####.", "####.", ".....")
    four_fifths = mask("####.", ".....", "#....")
    five_sixths = mask("####.", "#....", "#....")
    assert find_wholes([whole, four_fifths]) == [None, None]
    assert find_wholes([whole, five_sixths]) == [None, 0]


def test_equal_objects_are_no_circle():
    assert find_wholes([PERSON, PERSON.copy()]) == [None, 0]


def test_doubles_are_told_by_the_later_one():
    nearly = PERSON.copy()
    nearly[0, 0] = False  # overlap 11 / 12
    assert find_doubles([PERSON, DOG, nearly], least_iou=0.9) == {0}
    assert find_doubles([PERSON, DOG, nearly], least_iou=0.92) == set()


def test_what_is_known_is_told_by_overlap():
    nearly = PERSON.copy()
    nearly[0, 0] = False  # overlap 11 / 12
    assert find_known([nearly, DOG], [TIE, PERSON], least_iou=0.9) == {0}
    assert find_known([nearly, DOG], [TIE, PERSON], least_iou=0.92) == set()
    assert find_known([nearly], [], least_iou=0.0) == set()
