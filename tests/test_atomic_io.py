from pathlib import Path

import pytest
from etils import epath

from mst_jax.atomic_io import check_room, place_of, write_whole


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
        check_room(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("file", "dangling"):
        with pytest.raises(ValueError, match=f"cannot make .* {tmp_path / name} is no"):
            check_room(tmp_path / name / "deeper" / "inside.txt")


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda folder, mode: folder != tmp_path)
    with pytest.raises(ValueError, match=f"the folder {tmp_path} is not writable"):
        check_room(tmp_path / "new" / "file.txt")


def test_asking_for_room_makes_nothing(tmp_path, monkeypatch):
    check_room(tmp_path / "new" / "folder" / "file.txt")
    monkeypatch.chdir(tmp_path)
    check_room(Path("file.txt"))
    check_room(Path("new/file.txt"))
    assert list(tmp_path.iterdir()) == []


def test_a_place_is_on_a_disk_or_in_a_bucket(tmp_path):
    assert place_of("runs/a") == Path("runs/a")
    assert place_of(str(tmp_path)) == place_of(tmp_path) == tmp_path
    with pytest.raises(ValueError, match=r"^nowhere://b/run cannot be reached"):
        place_of("nowhere://b/run")


def test_what_is_no_disk_is_written_at_once(tmp_path):
    """etils' path of a folder stands for a bucket."""
    place = epath.Path(tmp_path)
    write_whole(place / "file.txt", b"one")
    write_whole(place / "file.txt", b"two")
    assert (tmp_path / "file.txt").read_bytes() == b"two"
    assert len(list(tmp_path.iterdir())) == 1
