import json

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.checkpoints.integrity import (
    CHECKSUM_FILE,
    check_finite,
    check_same_shapes,
    find_damage,
    flat_shapes,
    write_checksums,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "params" / "d").mkdir(parents=True)
    (tmp_path / "params" / "d" / "a").write_bytes(b"123456789")
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "b").write_bytes(b"")
    (tmp_path / "commit_success.txt").write_text("yes")
    write_checksums(tmp_path)
    return tmp_path


def test_checksums_hold_size_and_crc_of_all_files(folder):
    # 0xCBF43926 is the check value of CRC-32 for these nine digits.
    assert json.loads((folder / CHECKSUM_FILE).read_text()) == {
        "params/d/a": [9, 0xCBF43926],
        "training/b": [0, 0],
    }
    assert find_damage(folder) is find_damage(folder, "params") is None


@pytest.mark.parametrize(
    ("name", "data", "phrase", "is_in_params"),
    [
        ("params/d/a", b"123456780", "params/d/a is not as it was written", True),
        ("params/d/a", b"12345678", "params/d/a is not as it was written", True),
        ("params/d/a", None, "params/d/a is missing", True),
        ("training/b", b"\0", "training/b is not as it was written", False),
        (CHECKSUM_FILE, b'{"a":', "checksums.json is not JSON", True),
        ("commit_success.txt", b"no", None, False),
        (CHECKSUM_FILE, None, None, False),
    ],
)
def test_damaged_file_is_named(folder, name, data, phrase, is_in_params):
    if data is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(data)
    assert find_damage(folder) == phrase
    assert find_damage(folder, "params") == (phrase if is_in_params else None)


def test_empty_folder_is_damage(tmp_path):
    (tmp_path / "params").mkdir()
    assert find_damage(tmp_path / "params") == "the folder is empty"
    assert find_damage(tmp_path, "params") == "params is empty"
    assert find_damage(tmp_path, "training") == "training is empty"


@given(data=st.binary(min_size=1, max_size=40), bit=st.integers(0, 319))
def test_every_flipped_bit_is_found(tmp_path_factory, data, bit):
    folder = tmp_path_factory.mktemp("flipped")
    (folder / "a").write_bytes(data)
    write_checksums(folder)
    flipped = bytearray(data)
    flipped[bit // 8 % len(data)] ^= 1 << bit % 8
    (folder / "a").write_bytes(flipped)
    assert find_damage(folder) == "a is not as it was written"


def test_bucket_is_not_checked():
    bucket_folder = epath.Path("gs://no-such-bucket/run/checkpoints/4")
    write_checksums(bucket_folder)
    assert find_damage(bucket_folder, "params") is None


def test_shapes_are_compared_by_path():
    tree = {"b": {"kernel": np.zeros((2, 3))}, "a": np.zeros(4)}
    shapes = flat_shapes(tree)
    assert shapes == {"a": (4,), "b/kernel": (2, 3)}
    check_same_shapes(shapes, dict(shapes), "file")
    with pytest.raises(
        ValueError, match=r"file holds another model: b/kernel is \(2, 3\)"
    ):
        check_same_shapes(shapes, shapes | {"b/kernel": (2, 4)}, "file")
    with pytest.raises(ValueError, match="c is missing"):
        check_same_shapes(shapes, shapes | {"c": (1,)}, "file")
    with pytest.raises(ValueError, match="the config's model has none"):
        check_same_shapes(shapes | {"c": (1,)}, shapes, "file")


def test_numbers_that_are_not_finite_are_refused_by_name():
    tree = {"neck": {"out4": jnp.ones(3)}, "head": np.zeros(2, np.float16)}
    check_finite(tree, "run/params")
    for value in (np.nan, np.inf, -np.inf):
        damaged = tree | {"head": np.array([0, value], np.float16)}
        with pytest.raises(ValueError, match=r"run/params .* parameter head holds"):
            check_finite(damaged, "run/params")
