import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.layers.windows import from_windows, to_windows


def test_windows_keep_neighbours_together():
    grid = jnp.arange(16.0).reshape(1, 4, 4, 1)
    windows, filled = to_windows(grid, size=2)
    np.testing.assert_array_equal(
        windows[..., 0],
        [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]],
    )
    assert not filled.any()


def test_what_does_not_fill_a_window_is_marked():
    grid = 1 + jnp.arange(6.0).reshape(1, 2, 3, 1)
    windows, filled = to_windows(grid, size=2)
    np.testing.assert_array_equal(windows[..., 0], [[1, 2, 4, 5], [3, 0, 6, 0]])
    np.testing.assert_array_equal(
        filled, [[False, False, False, False], [False, True, False, True]]
    )


@settings(max_examples=20)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4))
def test_there_and_back(height, width, size):
    grid = jnp.arange(2.0 * height * width * 3).reshape(2, height, width, 3)
    windows, filled = to_windows(grid, size=size)
    back = from_windows(windows, size=size, height=height, width=width)
    np.testing.assert_array_equal(back, grid)
    assert int((~filled).sum()) == 2 * height * width


@pytest.mark.parametrize("size", [2, 3])
def test_examples_stay_apart(size):
    grid = jnp.stack([jnp.zeros((5, 4, 1)), jnp.ones((5, 4, 1))])
    windows, filled = to_windows(grid, size=size)
    half = len(windows) // 2
    assert jnp.where(filled[:half, :, None], 0, windows[:half]).max() == 0
    assert jnp.where(filled[half:, :, None], 1, windows[half:]).min() == 1
