from pathlib import Path

import pytest

from mst_jax.data.builders.discovery import (
    Item,
    find_by_stem,
    find_pairs,
    find_root,
    list_files,
    read_names,
)
from mst_jax.data.errors import Faults


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_what_is_missing_is_named_with_the_layout(tmp_path):
    touch(tmp_path, "images/a.jpg", "val.txt")
    find_root(tmp_path, ("images", "train.txt|val.txt"), layout="")
    with pytest.raises(ValueError, match=r"looked for .*/masks and .* hold the layout"):
        find_root(tmp_path, ("images", "masks"), layout="the layout")
    with pytest.raises(ValueError, match=r"looked for .*/a or .*/b and did not"):
        find_root(tmp_path, ("a|b",), layout="")


def test_the_folder_of_an_archive_is_found(tmp_path):
    touch(tmp_path, "VOCdevkit/VOC2012/images/a.jpg")
    nested = ("VOC2012", "VOCdevkit/VOC2012")
    found = find_root(tmp_path, ("images",), nested=nested, layout="")
    assert found == tmp_path / "VOCdevkit/VOC2012"


def test_files_are_sorted_and_clutter_is_left_out(tmp_path):
    touch(tmp_path, "b.png", "a.JPG", ".DS_Store", "Thumbs.db")
    assert [path.name for path in list_files(tmp_path)] == ["a.JPG", "b.png"]


def test_names_are_first_words_and_come_once(tmp_path):
    (tmp_path / "val.txt").write_text("b 1\n\na\nb\n")
    assert read_names(tmp_path / "val.txt") == ["b", "a"]


@pytest.mark.parametrize("text", ["../a", "/etc/passwd"])
def test_names_stay_in_their_folder(text, tmp_path):
    (tmp_path / "val.txt").write_text(text)
    with pytest.raises(ValueError, match=r"val.txt names .* expected a name"):
        read_names(tmp_path / "val.txt")


def test_a_list_that_is_no_text_is_named(tmp_path):
    (tmp_path / "val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"val.txt is no text"):
        read_names(tmp_path / "val.txt")


def test_pairs_and_what_has_no_partner(tmp_path):
    touch(tmp_path, "im/a.jpg", "im/b.PNG", "im/c.jpg", "im/c.bmp", "im/n.txt")
    touch(tmp_path, "gt/a.png", "gt/c.png", "gt/d.png", "gt/e.txt")
    faults = Faults(tmp_path)
    pairs = find_pairs(tmp_path / "im", tmp_path / "gt", faults, prefix="x-")
    image, mask = Path(tmp_path / "im"), Path(tmp_path / "gt")
    assert pairs == [
        Item("x-a", image / "a.jpg", (mask / "a.png",)),
        Item("x-c", image / "c.bmp", (mask / "c.png",)),
    ]
    assert sorted(faults.lines) == [
        "gt/d.png: mask without picture",
        "gt/e.txt: not a mask file (.png, .bmp, .tif, .tiff, .jpg)",
        "im/b.PNG: has no mask gt/b.png",
        "im/c.jpg: has the same stem as c.bmp",
        "im/n.txt: not a picture file (.jpg, .jpeg, .png, .bmp, .tif, .tiff, .webp)",
    ]


def test_files_of_one_kind_by_stem(tmp_path):
    touch(tmp_path, "a.jpg")
    found = find_by_stem(tmp_path, Faults(), suffixes=(".jpg",), kind="picture")
    assert found == {"a": tmp_path / "a.jpg"}
