import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mst_jax.geometry.interpolation import interpolate_columns, interpolate_rows

MAP = jnp.array([[0.0, 10.0, 20.0], [100.0, 110.0, 120.0]])


def test_rows_are_interpolated_and_repeated_outside():
    row, fraction = jnp.array([0, 0, 1, -3, 1]), jnp.array([0.0, 0.25, 0.0, 0.5, 0.9])
    np.testing.assert_allclose(
        interpolate_rows(MAP, row, fraction),
        [[0, 10, 20], [25, 35, 45], [100, 110, 120], [0, 10, 20], [100, 110, 120]],
    )


def test_columns_are_interpolated_and_repeated_outside():
    column, fraction = jnp.array([1, 2, -1, 0]), jnp.array([0.5, 0.5, 0.0, 0.1])
    np.testing.assert_allclose(
        interpolate_columns(MAP, column, fraction),
        [[15, 20, 0, 1], [115, 120, 100, 101]],
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_rows_then_columns_are_bilinear(seed):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(6, 9)).astype(np.float32)
    rows, columns = rng.uniform(0, 5, 4), rng.uniform(0, 8, 5)
    whole = [np.floor(x).astype(int) for x in (rows, columns)]
    fraction = [(x - np.floor(x)).astype(np.float32) for x in (rows, columns)]
    interpolated = interpolate_columns(
        interpolate_rows(
            jnp.asarray(image), jnp.asarray(whole[0]), jnp.asarray(fraction[0])
        ),
        jnp.asarray(whole[1]),
        jnp.asarray(fraction[1]),
    )
    positions = np.meshgrid(rows, columns, indexing="ij")
    np.testing.assert_allclose(
        interpolated, ndimage.map_coordinates(image, positions, order=1), atol=1e-5
    )
