from pathlib import Path

import pytest

from mst_jax.whole_file import make_room, write_whole


def test_a_file_is_written_replaced_and_stands_alone(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_whole(path, b"old")

    def half(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data[:1])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_in_the_way_is_named(tmp_path):
    with pytest.raises(ValueError, match="is a folder, expected a file"):
        make_room(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot make the folder"):
        make_room(tmp_path / "file" / "inside.txt")
