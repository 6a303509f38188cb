import pickle

import cv2
import numpy as np
import pytest

from mst_jax.data.errors import BadFile, Faults
from mst_jax.data.formats.ritm_pickle import (
    Note,
    find_packed,
    open_packed,
    read_notes,
    read_packed,
    read_size_classes,
)
from mst_jax.data.record import make_record
from tests.helpers.image_files import write_image
from tests.helpers.ritm_files import PARTS, STUFF, WHOLES, write_packed


@pytest.fixture
def folder(tmp_path):
    return write_packed(tmp_path / "train")


def test_pictures_and_notes_come_in_order(folder):
    items, notes = find_packed(folder)
    assert [item.id for item in items] == ["000000000009", "000000000025"]
    assert items[0].picture == folder / "images" / "000000000009.jpg"
    assert notes["000000000009"] == Note(3, {1: 0})
    assert notes["000000000025"] == Note(3, {})


def test_objects_parts_and_stuff_are_told_apart(folder):
    packed = open_packed(folder / "masks" / "000000000009.pickle", Note(3, {1: 0}))
    np.testing.assert_array_equal(packed.layers, [WHOLES, PARTS])
    np.testing.assert_array_equal(packed.stuff, [STUFF])
    assert packed.parts == [(1, 1, 0, 1)]


def test_only_the_wanted_objects_are_kept(folder):
    note = Note(3, {1: 0}, frozenset({1}))
    packed = open_packed(folder / "masks" / "000000000009.pickle", note)
    np.testing.assert_array_equal(packed.layers, [PARTS])
    assert packed.parts == []  # its whole is gone


def test_a_record_holds_them(folder):
    (item, _), notes = find_packed(folder)
    (row,) = read_packed(item, notes[item.id], Faults())
    assert row.keys() == make_record("", b"", []).keys()
    np.testing.assert_array_equal(row["parts"], [(1, 1, 0, 1)])
    assert (len(row["layers"]), len(row["stuff"])) == (2, 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (([], []), "has 0 objects in 0 layers"),
        (([1], [(0, 1)]), "does not nest"),
        (7, "does not nest"),
        (([np.zeros(3, np.uint8)], [(0, 1)] * 3), "not a picture"),
        (([], [(0, 1)] * 3), "at odds"),
        (([cv2.imencode(".png", PARTS)[1]], [(-1, 1)] * 3), "at odds"),
    ],
)
def test_bad_masks_are_named(content, reason, folder):
    path = folder / "masks" / "000000000009.pickle"
    path.write_bytes(pickle.dumps(content))
    (item, _), notes = find_packed(folder)
    with pytest.raises(BadFile, match=reason) as caught:
        list(read_packed(item, notes[item.id], Faults()))
    assert caught.value.file == path


def test_masks_of_another_size_are_named(folder):
    write_image(folder / "images" / "000000000009.jpg", np.zeros((8, 8, 3), np.uint8))
    (item, _), notes = find_packed(folder)
    with pytest.raises(BadFile, match="is 3x4, its picture 8x8"):
        list(read_packed(item, notes[item.id], Faults()))


@pytest.mark.parametrize(
    "tree",
    [
        [1],
        {"a": {}},
        {"a": {"num_instance_masks": 1, "hierarchy": {0: 5}}},
        {"a": {"num_instance_masks": 1, "hierarchy": {0: {"parent": 4}}}},
        {"a": {"num_instance_masks": "x", "hierarchy": {}}},
        {1: {}, "a": {}},
    ],
)
def test_other_pickles_are_no_notes(tree, tmp_path):
    (tmp_path / "hannotation.pickle").write_bytes(pickle.dumps(tree))
    with pytest.raises(ValueError, match=r"hannotation.pickle cannot be used"):
        read_notes(tmp_path / "hannotation.pickle")


def test_size_classes_of_numpys_own_file(tmp_path):
    classes = {"small": {0: [1, 2], 1: []}, "huge": {1: [np.int64(0)]}}
    np.save(tmp_path / "lovedams.npy", classes, allow_pickle=True)
    assert read_size_classes(tmp_path / "lovedams.npy") == {
        "small": {0: {1, 2}, 1: frozenset()},
        "huge": {1: {0}},
    }
    np.save(tmp_path / "lovedams.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"lovedams.npy cannot be used"):
        read_size_classes(tmp_path / "lovedams.npy")
