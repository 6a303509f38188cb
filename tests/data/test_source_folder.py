import pytest

from mst_jax.data.source_folder import list_files, require_folders


def test_a_missing_folder_is_named_with_the_layout(tmp_path):
    (tmp_path / "images").mkdir()
    require_folders(tmp_path, ("images",), layout="images/")
    with pytest.raises(ValueError, match=r"looked for .*masks.* must hold the layout"):
        require_folders(tmp_path, ("images", "masks"), layout="the layout")


def test_files_are_sorted_and_clutter_is_left_out(tmp_path):
    for name in ("b.png", "a.JPG", ".DS_Store", "Thumbs.db"):
        (tmp_path / name).touch()
    assert [path.name for path in list_files(tmp_path)] == ["a.JPG", "b.png"]
