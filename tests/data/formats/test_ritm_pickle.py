import pickle

import cv2
import numpy as np
import pytest

from mst_jax.data.formats.ritm_pickle import (
    RitmAnnotation,
    decode_ritm_masks,
    read_ritm_annotations,
    read_size_classes,
)
from tests.helpers.ritm_files import PARTS, STUFF, WHOLES, write_ritm_folder


@pytest.fixture
def folder(tmp_path):
    return write_ritm_folder(tmp_path / "train")


def test_objects_parts_and_stuff_are_separated(folder):
    annotation = RitmAnnotation(3, {1: 0})
    masks = decode_ritm_masks(folder / "masks" / "000000000009.pickle", annotation)
    np.testing.assert_array_equal(masks.layers, [WHOLES, PARTS])
    np.testing.assert_array_equal(masks.stuff, [STUFF])
    assert masks.parts == [(1, 1, 0, 1)]


def test_only_the_selected_objects_are_read(folder):
    annotation = RitmAnnotation(3, {1: 0}, frozenset({1}))
    masks = decode_ritm_masks(folder / "masks" / "000000000009.pickle", annotation)
    np.testing.assert_array_equal(masks.layers, [PARTS])
    assert masks.parts == []  # its parent is not selected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (([], []), "has 0 objects in 0 layers"),
        (([1], [(0, 1)]), "has an unexpected structure"),
        (7, "has an unexpected structure"),
        (([np.zeros(3, np.uint8)], [(0, 1)] * 3), "not an image"),
        (([], [(0, 1)] * 3), "contradicts"),
        (([cv2.imencode(".png", PARTS)[1]], [(-1, 1)] * 3), "contradicts"),
    ],
)
def test_bad_masks_raise_with_the_reason(content, reason, folder):
    path = folder / "masks" / "000000000009.pickle"
    path.write_bytes(pickle.dumps(content))
    annotations = read_ritm_annotations(folder / "hannotation.pickle")
    with pytest.raises(ValueError, match=reason):
        decode_ritm_masks(path, annotations["000000000009"])


@pytest.mark.parametrize(
    "content",
    [
        [1],
        {"a": {}},
        {"a": {"num_instance_masks": 1, "hierarchy": {0: 5}}},
        {"a": {"num_instance_masks": 1, "hierarchy": {0: {"parent": 4}}}},
        {"a": {"num_instance_masks": "x", "hierarchy": {}}},
        {1: {}, "a": {}},
    ],
)
def test_other_pickles_are_no_annotations(content, tmp_path):
    (tmp_path / "hannotation.pickle").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r"hannotation.pickle cannot be used"):
        read_ritm_annotations(tmp_path / "hannotation.pickle")


def test_size_classes_are_read_from_an_npy_file(tmp_path):
    size_classes = {"small": {0: [1, 2], 1: []}, "huge": {1: [np.int64(0)]}}
    np.save(tmp_path / "lovedams.npy", size_classes, allow_pickle=True)
    assert read_size_classes(tmp_path / "lovedams.npy") == {
        "small": {0: {1, 2}, 1: frozenset()},
        "huge": {1: {0}},
    }
    np.save(tmp_path / "lovedams.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"lovedams.npy cannot be used"):
        read_size_classes(tmp_path / "lovedams.npy")
