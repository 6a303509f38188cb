import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.file_errors import ErrorCollector
from mst_jax.data.formats.coco import (
    clean_file_name,
    decode_objects,
    read_coco_images,
)

SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]  # columns 1..3, rows 1..2
SQUARE_MASK = np.zeros((5, 6), bool)
SQUARE_MASK[1:3, 1:4] = True


def coco_content(**replaced):
    """The content of a COCO file: an image of COCO, one of LVIS, one annotation."""
    image = {"id": 3, "file_name": "b.jpg", "height": 5, "width": 6}
    lvis_image = {"id": 4, "height": 1, "width": 1}
    lvis_image["coco_url"] = "http://x/train2017/a.jpg"
    annotation = {"id": 1, "image_id": 3, "segmentation": [SQUARE]}
    return {"images": [image, lvis_image], "annotations": [annotation]} | replaced


def test_images_are_listed_by_name_with_their_annotations(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(coco_content()))
    first, second = read_coco_images(tmp_path / "a.json", ErrorCollector())
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
        ('{"images": []}', r"is not a COCO file: it has no list 'annotations'"),
    ],
)
def test_other_files_are_rejected_by_name(text, reason, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        read_coco_images(tmp_path / "a.json", ErrorCollector())
    assert "a.json" in str(caught.value)


def test_bad_annotations_are_collected_and_crowds_skipped(tmp_path):
    annotations = [
        {"id": 1, "image_id": "3", "segmentation": [SQUARE, [1, 2]], "iscrowd": 0},
        {"id": 2, "image_id": 3, "segmentation": [SQUARE], "iscrowd": 1},
        {"id": 3, "image_id": 3, "keypoints": [1, 1, 2], "num_keypoints": 1},
        {"id": 4, "image_id": 3, "segmentation": [], "bbox": [1, 1, 2, 2]},
        {"id": 5, "image_id": 3, "segmentation": [[1, 2, 3]]},
        {"id": 6, "image_id": 3, "segmentation": {"size": [5, 6], "counts": [30]}},
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(coco_content(annotations=annotations)))
    errors = ErrorCollector(tmp_path)
    masks = decode_objects(
        read_coco_images(path, errors)[0], path, errors, image_size=(5, 6)
    )
    np.testing.assert_array_equal(masks, [SQUARE_MASK])
    (message,) = errors.messages
    assert message.startswith("a.json, annotation 5: polygon of 3 numbers")
    assert errors.skip_counts == {
        "crowds (iscrowd is 1)": 1,
        "annotations without a pixel": 1,
        "annotations without a segmentation": 2,
        "rings of under three corners": 1,
    }


def test_errors_are_named_per_image(tmp_path):
    good_image = {"id": 3, "file_name": "b.jpg", "height": "5", "width": 6.0}
    images = [
        good_image,
        {"id": 4},
        {"file_name": "c.jpg"},
        {"id": "3", "file_name": "d.jpg"},
        {"id": 5, "file_name": "e.jpg", "height": -1},
        {"id": 6, "file_name": "f.jpg"},
    ]
    annotations = [{"id": 1, "image_id": 9}, {"id": 2, "image_id": 9}, {"id": 3}, 7]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(coco_content(images=images, annotations=annotations)))
    errors = ErrorCollector(tmp_path)
    first, second = read_coco_images(path, errors)
    assert (first.file_name, first.height, first.width) == ("b.jpg", 5, 6)
    assert (second.file_name, second.height, second.width) == ("f.jpg", None, None)
    assert errors.messages == [
        "a.json, image 1: has no file_name",
        "a.json, image 2: has no id",
        "a.json, image 3: has the id 3 of b.jpg",
        "a.json, image 4: has the height -1, expected a number of pixels",
        "a.json, annotation 2: has no image_id",
        "a.json, annotation 3: has no image_id",
        "a.json, image id 9: has 2 annotations but is not listed",
    ]


@pytest.mark.parametrize(
    "file_name",
    [
        "images/a b.jpg",
        r"images\a b.jpg",
        "./images/a b.jpg",
        "/images/a b.jpg",
        r"C:\images\a b.jpg",
        "../other/../images/a b.jpg",
        "https://host/images/a b.jpg?token=1",
        "file:///images/a b.jpg",
    ],
)
def test_file_names_become_relative_paths(file_name):
    assert clean_file_name(file_name) == "images/a b.jpg"


@pytest.mark.parametrize("file_name", ["", "..", "/", "a\0.jpg"])
def test_no_file_name_raises(file_name):
    with pytest.raises(ValueError, match="expected that of an image"):
        clean_file_name(file_name)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_with_a_byte_order_mark_is_read(encoding, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(coco_content()), encoding=encoding)
    assert len(read_coco_images(path, ErrorCollector())) == 2


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
        coco_images = read_coco_images(path, errors)
    except ValueError as error:
        assert "a.json" in str(error)
        return
    for coco_image in coco_images:
        height, width = coco_image.height or 5, coco_image.width or 6
        # The builder compares the size with the image before it decodes any object.
        if height * width < 100:
            decode_objects(coco_image, path, errors, image_size=(height, width))
    assert all(text.startswith("a.json, ") for text in errors.messages)
