import jax.numpy as jnp
import numpy as np

from mst_jax.interaction.host_arrays import copy_host_arrays
from mst_jax.structs import Clicks


def test_numpy_arrays_are_copied_and_other_leaves_are_kept():
    yx, label = np.ones((1, 2, 2), np.float32), jnp.ones((1, 2), int)
    tree = {"clicks": Clicks(yx, label), "name": "a", "side": 3}
    copy = copy_host_arrays(tree)
    assert not np.shares_memory(copy["clicks"].yx, yx)
    np.testing.assert_array_equal(copy["clicks"].yx, yx)
    assert copy["clicks"].label is label
    assert copy["name"] == "a" and copy["side"] == 3


def test_a_file_in_memory_becomes_an_array(tmp_path):
    memory_map = np.memmap(tmp_path / "x", np.float32, "w+", shape=(3,))
    copy = copy_host_arrays(memory_map)
    memory_map[:] = 5
    assert copy.tolist() == [0, 0, 0]
