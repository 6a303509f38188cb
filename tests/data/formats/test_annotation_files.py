"""Files that the annotation server saves for an image: COCO JSON and a label map."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mst_jax.data.formats.annotation_files import match_mask_name, read_annotated_layers
from tests.helpers.image_files import write_image

LARGE = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]], bool)
INSIDE = np.array([[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], bool)
APART = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]], bool)
MASKS = {3: LARGE, 5: INSIDE, 300: APART}


def make_tree(masks=MASKS, num_images=1):
    """Return the content of a COCO file; the objects are those of the first image."""
    images = [
        {"id": index + 1, "file_name": f"{index}.jpg", "height": 3, "width": 4}
        for index in range(num_images)
    ]
    annotations = []
    for label, mask in masks.items():
        encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
        run_lengths = {"size": [3, 4], "counts": encoded["counts"].decode()}
        annotations.append({"id": label, "image_id": 1, "segmentation": run_lengths})
    return {"images": images, "annotations": annotations}


def write_files(folder, tree, label_map=None):
    """Write a.json and, if there is a label map, a.png."""
    path = folder / "a.json"
    path.write_text(json.dumps(tree))
    if label_map is not None:
        write_image(folder / "a.png", label_map)
    return path


def draw_label_map():
    """Draw the objects in their order, as the server does."""
    label_map = np.zeros((3, 4), np.uint16)
    for label, mask in MASKS.items():
        label_map[mask] = label
    return label_map


@pytest.mark.parametrize("label_map", [None, draw_label_map()], ids=["json", "both"])
def test_objects_that_overlap_are_in_different_layers(tmp_path, label_map):
    layers = read_annotated_layers(write_files(tmp_path, make_tree(), label_map))
    assert all(labels.dtype == np.uint16 for labels in layers)
    np.testing.assert_array_equal(layers, [3 * LARGE + 300 * APART, 5 * INSIDE])


def test_an_image_whose_objects_were_deleted_has_no_layer(tmp_path):
    empty_map = np.zeros((3, 4), np.uint8)
    assert read_annotated_layers(write_files(tmp_path, make_tree({}), empty_map)) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (0, np.s_[2, 3]),  # an object loses a pixel
        (300, np.s_[2, 0]),  # an object gains one
        (5, np.s_[0, 0]),  # a pixel has the label of an object that does not cover it
        (7, np.s_[1, 3]),  # an unknown object
    ],
)
def test_a_label_map_with_other_objects_is_an_error(tmp_path, change, where):
    label_map = draw_label_map()
    label_map[where] = change
    path = write_files(tmp_path, make_tree(), label_map)
    with pytest.raises(ValueError, match=r"has other objects than a\.png beside it"):
        read_annotated_layers(path)


def test_a_label_map_of_another_size_is_an_error(tmp_path):
    path = write_files(tmp_path, make_tree(), np.ones((3, 5), np.uint8))
    with pytest.raises(ValueError, match="has other objects than"):
        read_annotated_layers(path)


@pytest.mark.parametrize("label", [0, 65535, "1", None])
def test_ids_that_are_no_labels_are_an_error(tmp_path, label):
    path = write_files(tmp_path, make_tree({label: LARGE}))
    with pytest.raises(ValueError, match=f"has an object with the id {label!r}, exp"):
        read_annotated_layers(path)


def test_other_files_are_an_error(tmp_path):
    path = write_files(tmp_path, make_tree(num_images=2))
    with pytest.raises(ValueError, match="lists 2 images, expected the one image a"):
        read_annotated_layers(path)
    with pytest.raises(ValueError, match="is not a COCO file"):
        read_annotated_layers(write_files(tmp_path, {"colors": []}))


@pytest.mark.parametrize(
    ("mask_name", "expected"),
    [
        ("photo", ("photo", -1)),
        ("photo_12", ("photo", 12)),
        ("sub/photo_0", ("sub/photo", 0)),
        ("photo_3", ("photo_3", -1)),
        ("photo_3_1", ("photo_3", 1)),
        ("photo_x", None),
        ("other_1", None),
    ],
)
def test_masks_are_matched_with_images(mask_name, expected):
    image_names = {"photo", "photo_3", "sub/photo"}
    assert match_mask_name(mask_name, image_names) == expected
