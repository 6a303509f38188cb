from pathlib import Path

import numpy as np
import pytest

from mst_jax.checkpoints.published_file import is_published_file, read_published_file
from tests.helpers.torch_archive import write_pth


@pytest.mark.parametrize("name", ["x.pth", "x.npz"])
def test_an_ending_tells_the_reader(tmp_path, name):
    array = np.array([1, 2], np.float32)
    if name == "x.npz":
        np.savez(tmp_path / name, a=array)
    else:
        write_pth(tmp_path / name, {"a": array})
    arrays, config, published = read_published_file(tmp_path / name)
    assert arrays.keys() == {"a"} and not config and not published
    np.testing.assert_array_equal(arrays["a"], [1, 2])


def test_endings_that_are_published():
    found = [
        name
        for name in ("a.pth", "a.pt", "a.safetensors", "a.npz", "a", "a.zip", "pth")
        if is_published_file(Path(name))
    ]
    assert found == ["a.pth", "a.pt", "a.safetensors", "a.npz"]


@pytest.mark.parametrize("name", ["gone.pth", "gone.npz"])
def test_a_file_that_is_not_there_is_one_sentence(tmp_path, name):
    with pytest.raises(ValueError, match=rf"{name} is not there; expected"):
        read_published_file(tmp_path / name)
