import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.layer_loop import shortest_period, stack_parameters


@pytest.mark.parametrize(
    ("layers", "period"),
    [("aaaa", 1), ("aabaab", 3), ("abab", 2), ("aabaa", 5), ("abca", 4), ("a", 1)],
)
def test_period_is_the_smallest_group_that_repeats_to_the_end(layers, period):
    assert shortest_period(layers) == period


def test_only_kernels_are_stacked_in_the_compute_dtype():
    layers = [
        {
            "dense": {"kernel": jnp.full((2, 3), value), "bias": jnp.full(3, value)},
            "scale": jnp.full(2, value),
        }
        for value in (1.001, 2.0)
    ]
    stacked = stack_parameters(layers, jnp.bfloat16)
    assert stacked["dense"]["kernel"].dtype == jnp.bfloat16
    assert stacked["dense"]["kernel"].shape == (2, 2, 3)
    np.testing.assert_array_equal(stacked["dense"]["kernel"][1], np.full((2, 3), 2.0))
    expected_scale = np.array([[1.001] * 2, [2.0] * 2], np.float32)
    np.testing.assert_array_equal(stacked["scale"], expected_scale)
    np.testing.assert_array_equal(
        stacked["dense"]["bias"][0], layers[0]["dense"]["bias"]
    )
