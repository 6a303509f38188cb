import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.layers.windows import merge_windows, partition_windows


def test_windows_hold_adjacent_tokens():
    grid = jnp.arange(16.0).reshape(1, 4, 4, 1)
    windows, is_padding = partition_windows(grid, window_size=2)
    np.testing.assert_array_equal(
        windows[..., 0],
        [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]],
    )
    assert not is_padding.any()


def test_padding_is_marked():
    grid = 1 + jnp.arange(6.0).reshape(1, 2, 3, 1)
    windows, is_padding = partition_windows(grid, window_size=2)
    np.testing.assert_array_equal(windows[..., 0], [[1, 2, 4, 5], [3, 0, 6, 0]])
    np.testing.assert_array_equal(
        is_padding, [[False, False, False, False], [False, True, False, True]]
    )


@settings(max_examples=20)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4))
def test_merge_inverts_partition(height, width, window_size):
    grid = np.arange(6 * height * width, dtype=np.float32)
    grid = grid.reshape(2, height, width, 3)

    @jax.jit
    def partition_and_merge(grid):
        windows, is_padding = partition_windows(grid, window_size=window_size)
        sizes = dict(window_size=window_size, height=height, width=width)
        return merge_windows(windows, **sizes), is_padding

    merged, is_padding = partition_and_merge(grid)
    np.testing.assert_array_equal(merged, grid)
    assert np.sum(~np.asarray(is_padding)) == 2 * height * width


@pytest.mark.parametrize("window_size", [2, 3])
def test_examples_do_not_mix(window_size):
    grid = jnp.stack([jnp.zeros((5, 4, 1)), jnp.ones((5, 4, 1))])
    windows, is_padding = partition_windows(grid, window_size=window_size)
    half = len(windows) // 2
    first_tokens = jnp.where(is_padding[:half, :, None], 0, windows[:half])
    second_tokens = jnp.where(is_padding[half:, :, None], 1, windows[half:])
    assert first_tokens.max() == 0
    assert second_tokens.min() == 1
