import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from mst_jax.data.file_errors import ErrorCollector
from mst_jax.data.formats.coco import (
    decode_objects,
    decode_segmentation,
    read_coco_images,
)

SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]  # columns 1..3, rows 1..2
SQUARE_MASK = np.zeros((5, 6), bool)
SQUARE_MASK[1:3, 1:4] = True


def test_several_polygons_give_their_union():
    np.testing.assert_array_equal(decode_segmentation([SQUARE], 5, 6), SQUARE_MASK)
    other_square = [4.0, 3, 6, 3, 6, 5, 4, 5]
    union = SQUARE_MASK.copy()
    union[3:5, 4:6] = True
    decoded = decode_segmentation([SQUARE, other_square], 5, 6)
    np.testing.assert_array_equal(decoded, union)


def test_run_lengths_count_down_the_columns():
    encoded = {"size": [5, 6], "counts": [6, 2, 3, 2, 3, 2, 12]}
    np.testing.assert_array_equal(decode_segmentation(encoded, 5, 6), SQUARE_MASK)


@given(seed=st.integers(0, 2**32 - 1))
def test_packed_run_lengths_agree_with_pycocotools(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 40, 2))
    mask = rng.random((height, width)) < rng.random()
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    encoded = {"size": [height, width], "counts": packed["counts"].decode()}
    np.testing.assert_array_equal(decode_segmentation(encoded, height, width), mask)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "expected polygons or run lengths"),
        ([], "expected polygons or run lengths"),
        ([[1, 2, 3, 4]], "polygon of 4 numbers"),
        ([[1, 2, 3, 4, 5, 6, 7]], "polygon of 7 numbers"),
        ([7], "not a list of numbers"),
        ([[0, 0, 1e9, 0, 1e9, 1]], "far outside"),
        ([[0, 0, float("nan"), 0, 1, 1]], "not finite"),
        ({"size": [6, 5], "counts": [30]}, r"for \[6, 5\], the image is \[5, 6\]"),
        ({"size": [5, 6], "counts": [29]}, "do not add up to 5x6"),
        ({"size": [5, 6], "counts": [40, -10]}, "do not add up"),
        ({"size": [5, 6], "counts": None}, "do not add up"),
        ({"size": [5, 6], "counts": "1000000000"}, "do not add up"),
        ({"size": [5, 6], "counts": "\x00"}, "hold the character"),
        ({"size": [5, 6], "counts": "o"}, "end within a number"),
    ],
)
def test_bad_segmentation_raises_with_the_reason(segmentation, reason):
    with pytest.raises(ValueError, match=reason):
        decode_segmentation(segmentation, 5, 6)


def coco_content(**replaced):
    """The content of a COCO file: an image of COCO, one of LVIS, one annotation."""
    image = {"id": 3, "file_name": "b.jpg", "height": 5, "width": 6}
    lvis_image = {"id": 4, "height": 1, "width": 1}
    lvis_image["coco_url"] = "http://x/train2017/a.jpg"
    annotation = {"id": 1, "image_id": 3, "segmentation": [SQUARE]}
    return {"images": [image, lvis_image], "annotations": [annotation]} | replaced


def test_images_are_listed_by_name_with_their_annotations(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(coco_content()))
    first, second = read_coco_images(tmp_path / "a.json")
    assert (first.id, first.file_name) == ("b", "b.jpg")
    assert (first.height, first.width) == (5, 6)
    assert [annotation["id"] for annotation in first.annotations] == [1]
    assert (second.id, second.file_name) == ("a", "train2017/a.jpg")
    assert second.annotations == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "json"),
        ("[]", "is not a COCO file"),
        ('{"images": []}', r"is not a COCO file: KeyError\('annotations'\)"),
        (json.dumps(coco_content(images=[{"id": 3}])), "is not a COCO file"),
        (
            json.dumps(coco_content(images=[])),
            "1 images have annotations but are not listed",
        ),
        (
            json.dumps(
                coco_content(
                    images=[{"id": 3, "file_name": "../a", "height": 1, "width": 1}]
                )
            ),
            "is not a COCO file",
        ),
    ],
)
def test_other_files_are_rejected_by_name(text, reason, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        read_coco_images(tmp_path / "a.json")
    assert "a.json" in str(caught.value)


def test_bad_annotations_are_collected_and_crowds_skipped(tmp_path):
    annotations = [
        {"id": 1, "image_id": 3, "segmentation": [SQUARE], "iscrowd": 0},
        {"id": 2, "image_id": 3, "segmentation": [SQUARE], "iscrowd": 1},
        {"id": 5, "image_id": 3, "segmentation": [[1, 2]]},
        {"id": 6, "image_id": 3, "segmentation": {"size": [5, 6], "counts": [30]}},
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(coco_content(annotations=annotations)))
    errors = ErrorCollector(tmp_path)
    masks = decode_objects(read_coco_images(path)[0], path, errors)
    np.testing.assert_array_equal(masks, [SQUARE_MASK])
    (message,) = errors.messages
    assert message.startswith("a.json, annotation 5: polygon of 2 numbers")
    assert errors.skip_counts == {"crowds": 1, "annotations without a pixel": 1}


ODD_VALUES = (None, True, -1, 1e300, "x", "", [], [[]], {}, [1, 2], {"size": 5}, "../x")


def key_paths(tree, parent_path=()):
    """The path of every value in a tree of lists and dicts."""
    items = ()
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return [parent_path] * bool(parent_path) + [
        key_path
        for key, value in items
        for key_path in key_paths(value, (*parent_path, key))
    ]


@given(data=st.data())
def test_file_with_odd_values_is_read_or_its_errors_are_collected(
    data, tmp_path_factory
):
    encoded = {"size": [5, 6], "counts": "6232020<"}
    annotations = [
        {"id": 1, "image_id": 3, "segmentation": [list(SQUARE)], "iscrowd": 0},
        {"id": 2, "image_id": 4, "segmentation": encoded},
    ]
    images = [
        {"id": 3, "file_name": "b.jpg", "height": 5, "width": 6},
        {"id": 4, "coco_url": "http://x/t/a.jpg", "height": 5, "width": 6},
    ]
    content = {"images": images, "annotations": annotations}
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last_key = data.draw(st.sampled_from(key_paths(content)))
        container = content
        for key in parents:
            container = container[key]
        container[last_key] = copy.deepcopy(data.draw(st.sampled_from(ODD_VALUES)))
    path = tmp_path_factory.getbasetemp() / "a.json"
    path.write_text(json.dumps(content))
    errors = ErrorCollector()
    try:
        coco_images = read_coco_images(path)
    except ValueError as error:
        assert "a.json" in str(error)
        return
    for coco_image in coco_images:
        # The builder compares the size with the image before it decodes any object.
        if coco_image.height * coco_image.width < 100:
            decode_objects(coco_image, path, errors)
    assert all(text.startswith("a.json, annotation") for text in errors.messages)
