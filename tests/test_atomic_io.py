from pathlib import Path

import pytest
from etils import epath

from mst_jax.atomic_io import as_path, atomic_write, check_writable


def test_a_file_is_written_and_replaced_without_leftovers(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    atomic_write(path, b"one")
    atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_only_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    atomic_write(path, b"old")

    def write_half(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data[:1])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(OSError, match="disk full"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_blocks_the_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="is a folder, expected a file"):
        check_writable(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("file", "dangling"):
        with pytest.raises(
            ValueError, match=f"cannot create .* {tmp_path / name} is not"
        ):
            check_writable(tmp_path / name / "deeper" / "inside.txt")


def test_a_folder_without_write_permission_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda folder, mode: folder != tmp_path)
    with pytest.raises(ValueError, match=f"the folder {tmp_path} is not writable"):
        check_writable(tmp_path / "new" / "file.txt")


def test_checking_creates_nothing(tmp_path, monkeypatch):
    check_writable(tmp_path / "new" / "folder" / "file.txt")
    monkeypatch.chdir(tmp_path)
    check_writable(Path("file.txt"))
    check_writable(Path("new/file.txt"))
    assert list(tmp_path.iterdir()) == []


def test_a_path_is_on_a_disk_or_in_a_bucket(tmp_path):
    assert as_path("runs/a") == Path("runs/a")
    assert as_path(str(tmp_path)) == as_path(tmp_path) == tmp_path
    with pytest.raises(ValueError, match=r"^nowhere://b/run cannot be reached"):
        as_path("nowhere://b/run")


def test_a_file_in_a_bucket_is_written_directly(tmp_path):
    """The etils path of a folder stands for a bucket."""
    bucket = epath.Path(tmp_path)
    atomic_write(bucket / "file.txt", b"one")
    atomic_write(bucket / "file.txt", b"two")
    assert (tmp_path / "file.txt").read_bytes() == b"two"
    assert len(list(tmp_path.iterdir())) == 1
