"""The parts of a run follow from its config; the command's tests play the run."""

import jax
import numpy as np
import pytest

from mst_jax.training.run import build_run, open_data
from tests.tiny_config import get_config

KERNEL = ("backbone", "block0", "mlp", "out", "kernel")


def kernel_of(state):
    leaf = state.params
    for name in KERNEL:
        leaf = leaf[name]
    return leaf


def test_the_first_state_is_its_config_and_seed():
    config = get_config()
    one, two = build_run(config).state, build_run(config).state
    jax.tree.map(np.testing.assert_array_equal, one.params, two.params)
    config.seed = 1
    other = build_run(config).state
    assert (kernel_of(one) != kernel_of(other)).mean() > 0.99
    assert other.key != one.key


def test_a_set_that_nobody_made_is_named(tmp_path):
    config = get_config()
    with pytest.raises(ValueError, match=r"mst_jax\.prepare grabcut"):
        open_data(config, name="grabcut", data_dir=str(tmp_path))
