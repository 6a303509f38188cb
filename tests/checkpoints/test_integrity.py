import json

import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.checkpoints.integrity import CHECKSUMS, find_damage, write_checksums


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "params" / "d").mkdir(parents=True)
    (tmp_path / "params" / "d" / "a").write_bytes(b"123456789")
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "b").write_bytes(b"")
    (tmp_path / "commit_success.txt").write_text("yes")
    write_checksums(tmp_path)
    return tmp_path


def test_sizes_and_checksums_of_all_files(folder):
    # 0xCBF43926 is the check value of CRC-32 for these nine digits.
    assert json.loads((folder / CHECKSUMS).read_text()) == {
        "params/d/a": [9, 0xCBF43926],
        "training/b": [0, 0],
    }
    assert find_damage(folder, "") == find_damage(folder, "params") == ""


@pytest.mark.parametrize(
    ("name", "data", "phrase", "in_params"),
    [
        ("params/d/a", b"123456780", "params/d/a is not as it was written", True),
        ("params/d/a", b"12345678", "params/d/a is not as it was written", True),
        ("params/d/a", None, "params/d/a is missing", True),
        ("training/b", b"\0", "training/b is not as it was written", False),
        (CHECKSUMS, b'{"a":', "checksums.json is not JSON", True),
        ("commit_success.txt", b"no", "", False),
        (CHECKSUMS, None, "", False),
    ],
)
def test_what_is_damaged_is_named(folder, name, data, phrase, in_params):
    if data is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(data)
    assert find_damage(folder, "") == phrase
    assert find_damage(folder, "params") == (phrase if in_params else "")


def test_empty_folders_are_damage(tmp_path):
    (tmp_path / "params").mkdir()
    assert find_damage(tmp_path / "params", "") == "the folder is empty"
    assert find_damage(tmp_path, "params") == "params is empty"
    assert find_damage(tmp_path, "training") == "training is empty"


@given(data=st.binary(min_size=1, max_size=40), bit=st.integers(0, 319))
def test_every_flipped_bit_is_seen(tmp_path_factory, data, bit):
    folder = tmp_path_factory.mktemp("flipped")
    (folder / "a").write_bytes(data)
    write_checksums(folder)
    flipped = bytearray(data)
    flipped[bit // 8 % len(data)] ^= 1 << bit % 8
    (folder / "a").write_bytes(flipped)
    assert find_damage(folder, "") == "a is not as it was written"


def test_buckets_are_believed():
    place = epath.Path("gs://no-such-bucket/run/checkpoints/4")
    write_checksums(place)
    assert find_damage(place, "params") == ""
