import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as rle

from mst_jax.annotation.files.polygons import to_polygons


def draw(text: str) -> np.ndarray:
    return np.array([[c == "#" for c in line] for line in text.split()])


def fill(polygons, height, width) -> np.ndarray:
    """The mask again, by COCO's own program."""
    if not polygons:
        return np.zeros((height, width), bool)
    merged = rle.merge(rle.frPyObjects(polygons, height, width))
    return rle.decode(merged).astype(bool)


def corners(polygon) -> set:
    return set(zip(polygon[::2], polygon[1::2], strict=True))


def test_a_box_has_four_corners():
    (polygon,) = to_polygons(draw(".... .##. .##. ...."))
    assert len(polygon) == 8
    assert corners(polygon) == {(1, 1), (3, 1), (3, 3), (1, 3)}


def test_parts_that_touch_at_a_corner_are_apart():
    assert len(to_polygons(draw("##.. ##.. ..## ..##"))) == 2


def test_a_hole_is_cut_open_from_its_left():
    mask = draw("##### #...# #.#.# #...# #####")
    outer, inner = sorted(to_polygons(mask), key=len, reverse=True)
    assert {(0, 0), (5, 5), (1, 1), (4, 4), (0, 1)} <= corners(outer)
    assert corners(inner) == {(2, 2), (3, 2), (3, 3), (2, 3)}
    np.testing.assert_array_equal(fill([outer, inner], 5, 5), mask)


def test_nothing_has_no_outline():
    assert to_polygons(np.zeros((3, 4), bool)) == []


@given(arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_filling_gives_the_mask_again(mask):
    polygons = to_polygons(mask)
    np.testing.assert_array_equal(fill(polygons, *mask.shape), mask)
    assert all(len(polygon) >= 8 for polygon in polygons)
