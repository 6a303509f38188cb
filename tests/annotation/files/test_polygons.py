import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from mst_jax.annotation.files.polygons import to_polygons


def parse_mask(text: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in text.split()])


def fill_polygons(polygons, height, width) -> np.ndarray:
    """Fill polygons with pycocotools."""
    if not polygons:
        return np.zeros((height, width), bool)
    merged = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return coco_mask.decode(merged).astype(bool)


def corners_of(polygon) -> set:
    return set(zip(polygon[::2], polygon[1::2], strict=True))


def test_box_has_four_corners():
    (polygon,) = to_polygons(parse_mask(".... .##. .##. ...."))
    assert len(polygon) == 8
    assert corners_of(polygon) == {(1, 1), (3, 1), (3, 3), (1, 3)}


def test_parts_that_touch_at_a_corner_are_separate():
    assert len(to_polygons(parse_mask("##.. ##.. ..## ..##"))) == 2


def test_hole_is_cut_open_from_its_left():
    mask = parse_mask("##### #...# #.#.# #...# #####")
    outer, inner = sorted(to_polygons(mask), key=len, reverse=True)
    assert {(0, 0), (5, 5), (1, 1), (4, 4), (0, 1)} <= corners_of(outer)
    assert corners_of(inner) == {(2, 2), (3, 2), (3, 3), (2, 3)}
    np.testing.assert_array_equal(fill_polygons([outer, inner], 5, 5), mask)


def test_empty_mask_has_no_polygons():
    assert to_polygons(np.zeros((3, 4), bool)) == []


@given(arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_filled_polygons_give_the_mask_again(mask):
    polygons = to_polygons(mask)
    np.testing.assert_array_equal(fill_polygons(polygons, *mask.shape), mask)
    assert all(len(polygon) >= 8 for polygon in polygons)
