from pathlib import Path

import pytest

from mst_jax.data.builders.discovery import (
    SourceItem,
    find_by_stem,
    find_pairs,
    find_source_dir,
    list_files,
    read_name_list,
)
from mst_jax.data.file_errors import ErrorCollector


def touch_files(root, *file_names):
    for file_name in file_names:
        (root / file_name).parent.mkdir(parents=True, exist_ok=True)
        (root / file_name).touch()


def test_a_missing_path_is_reported_with_the_layout(tmp_path):
    touch_files(tmp_path, "images/a.jpg", "val.txt")
    find_source_dir(tmp_path, ("images", "train.txt|val.txt"), source_layout="")
    with pytest.raises(ValueError, match=r"looked for .*/masks and .* hold the layout"):
        find_source_dir(tmp_path, ("images", "masks"), source_layout="the layout")
    with pytest.raises(ValueError, match=r"looked for .*/a or .*/b and did not"):
        find_source_dir(tmp_path, ("a|b",), source_layout="")


def test_the_folder_of_an_unpacked_archive_is_found(tmp_path):
    touch_files(tmp_path, "VOCdevkit/VOC2012/images/a.jpg")
    archive_folders = ("VOC2012", "VOCdevkit/VOC2012")
    source_dir = find_source_dir(
        tmp_path, ("images",), archive_folders=archive_folders, source_layout=""
    )
    assert source_dir == tmp_path / "VOCdevkit/VOC2012"


def test_files_are_sorted_without_hidden_and_desktop_files(tmp_path):
    touch_files(tmp_path, "b.png", "a.JPG", ".DS_Store", "Thumbs.db")
    assert [path.name for path in list_files(tmp_path)] == ["a.JPG", "b.png"]


def test_names_are_unique_first_words(tmp_path):
    (tmp_path / "val.txt").write_text("b 1\n\na\nb\n")
    assert read_name_list(tmp_path / "val.txt") == ["b", "a"]


def test_a_list_of_another_system_is_read(tmp_path):
    (tmp_path / "val.txt").write_bytes(b"\xef\xbb\xbfb 1 \r\na\t\r\n  \r\n")
    assert read_name_list(tmp_path / "val.txt") == ["b", "a"]


@pytest.mark.parametrize("list_text", ["../a", "/etc/passwd"])
def test_names_that_leave_the_folder_raise(list_text, tmp_path):
    (tmp_path / "val.txt").write_text(list_text)
    with pytest.raises(ValueError, match=r"val.txt names .* expected the name"):
        read_name_list(tmp_path / "val.txt")


def test_a_list_that_is_no_text_raises(tmp_path):
    (tmp_path / "val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"val.txt is not a text file"):
        read_name_list(tmp_path / "val.txt")


def test_files_without_a_partner_are_reported(tmp_path):
    touch_files(tmp_path, "im/a.jpg", "im/b.PNG", "im/c.jpg", "im/c.bmp", "im/n.txt")
    touch_files(tmp_path, "gt/a.png", "gt/c.png", "gt/d.png", "gt/e.txt")
    errors = ErrorCollector(tmp_path)
    items = find_pairs(tmp_path / "im", tmp_path / "gt", errors, id_prefix="x-")
    image_folder, mask_folder = Path(tmp_path / "im"), Path(tmp_path / "gt")
    assert items == [
        SourceItem("x-a", image_folder / "a.jpg", (mask_folder / "a.png",)),
        SourceItem("x-c", image_folder / "c.bmp", (mask_folder / "c.png",)),
    ]
    assert sorted(errors.messages) == [
        "gt/d.png: mask without image",
        "gt/e.txt: not one of the mask formats .png, .bmp, .tif, .tiff, .jpg",
        "im/b.PNG: has no mask gt/b.png",
        "im/c.jpg: has the same stem as c.bmp",
        "im/n.txt: not one of the image formats "
        ".jpg, .jpeg, .png, .bmp, .tif, .tiff, .webp",
    ]


def test_files_are_mapped_by_stem(tmp_path):
    touch_files(tmp_path, "a.jpg")
    found_paths = find_by_stem(
        tmp_path, ErrorCollector(), suffixes=(".jpg",), file_type="image"
    )
    assert found_paths == {"a": tmp_path / "a.jpg"}
