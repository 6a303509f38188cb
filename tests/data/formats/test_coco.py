import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as rle

from mst_jax.data.errors import Faults
from mst_jax.data.formats.coco import decode_mask, open_objects, read_coco

SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]  # columns 1..3, rows 1..2
DRAWN = np.zeros((5, 6), bool)
DRAWN[1:3, 1:4] = True


def test_polygons_are_drawn_and_united():
    np.testing.assert_array_equal(decode_mask([SQUARE], 5, 6), DRAWN)
    other = [4.0, 3, 6, 3, 6, 5, 4, 5]
    both = DRAWN.copy()
    both[3:5, 4:6] = True
    np.testing.assert_array_equal(decode_mask([SQUARE, other], 5, 6), both)


def test_run_lengths_go_down_the_columns():
    runs = {"size": [5, 6], "counts": [6, 2, 3, 2, 3, 2, 12]}
    np.testing.assert_array_equal(decode_mask(runs, 5, 6), DRAWN)


@given(seed=st.integers(0, 2**32 - 1))
def test_packed_run_lengths_are_those_of_pycocotools(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 40, 2))
    mask = rng.random((height, width)) < rng.random()
    packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    runs = {"size": [height, width], "counts": packed["counts"].decode()}
    np.testing.assert_array_equal(decode_mask(runs, height, width), mask)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "expected polygons or run lengths"),
        ([], "expected polygons or run lengths"),
        ([[1, 2, 3, 4]], "polygon of 4 numbers"),
        ([[1, 2, 3, 4, 5, 6, 7]], "polygon of 7 numbers"),
        ([7], "no list of numbers"),
        ([[0, 0, 1e9, 0, 1e9, 1]], "far outside"),
        ([[0, 0, float("nan"), 0, 1, 1]], "no numbers"),
        ({"size": [6, 5], "counts": [30]}, r"for \[6, 5\], the picture is \[5, 6\]"),
        ({"size": [5, 6], "counts": [29]}, "do not add up to 5x6"),
        ({"size": [5, 6], "counts": [40, -10]}, "do not add up"),
        ({"size": [5, 6], "counts": None}, "do not add up"),
        ({"size": [5, 6], "counts": "1000000000"}, "do not add up"),
        ({"size": [5, 6], "counts": "\x00"}, "hold the character"),
        ({"size": [5, 6], "counts": "o"}, "end within a number"),
    ],
)
def test_bad_segmentations_are_refused(segmentation, reason):
    with pytest.raises(ValueError, match=reason):
        decode_mask(segmentation, 5, 6)


def coco(**changes):
    image = {"id": 3, "file_name": "b.jpg", "height": 5, "width": 6}
    other = {"id": 4, "coco_url": "http://x/train2017/a.jpg", "height": 1, "width": 1}
    annotation = {"id": 1, "image_id": 3, "segmentation": [SQUARE]}
    tree = {"images": [image, other], "annotations": [annotation]}
    return tree | changes


def test_pictures_are_listed_by_name_with_their_annotations(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(coco()))
    first, second = read_coco(tmp_path / "a.json")
    assert (first.id, first.file) == ("b", "b.jpg")
    assert (first.height, first.width) == (5, 6)
    assert [annotation["id"] for annotation in first.annotations] == [1]
    assert (second.id, second.file) == ("a", "train2017/a.jpg")
    assert second.annotations == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no json"),
        ("[" * 100_000, "json"),
        ("[]", "is no COCO file"),
        ('{"images": []}', r"is no COCO file: KeyError\('annotations'\)"),
        (json.dumps(coco(images=[{"id": 3}])), "is no COCO file"),
        (json.dumps(coco(images=[])), "1 pictures have annotations but are not listed"),
        (
            json.dumps(
                coco(
                    images=[{"id": 3, "file_name": "../a", "height": 1, "width": 1}],
                )
            ),
            "is no COCO file",
        ),
    ],
)
def test_other_files_are_refused_by_name(text, reason, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        read_coco(tmp_path / "a.json")
    assert "a.json" in str(caught.value)


def test_bad_annotations_are_named_and_crowds_left_out(tmp_path):
    annotations = [
        {"id": 1, "image_id": 3, "segmentation": [SQUARE], "iscrowd": 0},
        {"id": 2, "image_id": 3, "segmentation": [SQUARE], "iscrowd": 1},
        {"id": 5, "image_id": 3, "segmentation": [[1, 2]]},
        {"id": 6, "image_id": 3, "segmentation": {"size": [5, 6], "counts": [30]}},
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(coco(annotations=annotations)))
    faults = Faults(tmp_path)
    masks = open_objects(read_coco(path)[0], path, faults)
    np.testing.assert_array_equal(masks, [DRAWN])
    (line,) = faults.lines
    assert line.startswith("a.json, annotation 5: polygon of 2 numbers")
    assert faults.remarks == {"crowds": 1, "annotations without a pixel": 1}


STRANGE = (None, True, -1, 1e300, "x", "", [], [[]], {}, [1, 2], {"size": 5}, "../x")


def places_of(tree, path=()):
    """Every place in a tree of lists and dicts."""
    items = ()
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return [path] * bool(path) + [
        place for key, value in items for place in places_of(value, (*path, key))
    ]


@given(data=st.data())
def test_whatever_stands_in_the_file_is_read_or_named(data, tmp_path_factory):
    runs = {"size": [5, 6], "counts": "6232020<"}
    annotations = [
        {"id": 1, "image_id": 3, "segmentation": [list(SQUARE)], "iscrowd": 0},
        {"id": 2, "image_id": 4, "segmentation": runs},
    ]
    images = [
        {"id": 3, "file_name": "b.jpg", "height": 5, "width": 6},
        {"id": 4, "coco_url": "http://x/t/a.jpg", "height": 5, "width": 6},
    ]
    tree = {"images": images, "annotations": annotations}
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(places_of(tree)))
        holder = tree
        for key in way:
            holder = holder[key]
        holder[last] = copy.deepcopy(data.draw(st.sampled_from(STRANGE)))
    path = tmp_path_factory.getbasetemp() / "a.json"
    path.write_text(json.dumps(tree))
    faults = Faults()
    try:
        listed = read_coco(path)
    except ValueError as error:
        assert "a.json" in str(error)
        return
    for picture in listed:
        if picture.height * picture.width < 100:  # `read` compares with the picture
            open_objects(picture, path, faults)
    assert all(line.startswith("a.json, annotation") for line in faults.lines)
