import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mst_jax.geometry.interpolation import read_columns, read_rows

PICTURE = jnp.array([[0.0, 10.0, 20.0], [100.0, 110.0, 120.0]])


def test_rows_are_read_between_pixels_and_repeated_outside():
    row, fraction = jnp.array([0, 0, 1, -3, 1]), jnp.array([0.0, 0.25, 0.0, 0.5, 0.9])
    np.testing.assert_allclose(
        read_rows(PICTURE, row, fraction),
        [[0, 10, 20], [25, 35, 45], [100, 110, 120], [0, 10, 20], [100, 110, 120]],
    )


def test_columns_are_read_between_pixels_and_repeated_outside():
    column, fraction = jnp.array([1, 2, -1, 0]), jnp.array([0.5, 0.5, 0.0, 0.1])
    np.testing.assert_allclose(
        read_columns(PICTURE, column, fraction), [[15, 20, 0, 1], [115, 120, 100, 101]]
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_rows_then_columns_are_bilinear(seed):
    rng = np.random.default_rng(seed)
    picture = rng.normal(size=(6, 9)).astype(np.float32)
    rows, columns = rng.uniform(0, 5, 4), rng.uniform(0, 8, 5)
    whole = [np.floor(x).astype(int) for x in (rows, columns)]
    rest = [(x - np.floor(x)).astype(np.float32) for x in (rows, columns)]
    ours = read_columns(
        read_rows(jnp.asarray(picture), jnp.asarray(whole[0]), jnp.asarray(rest[0])),
        jnp.asarray(whole[1]),
        jnp.asarray(rest[1]),
    )
    places = np.meshgrid(rows, columns, indexing="ij")
    np.testing.assert_allclose(
        ours, ndimage.map_coordinates(picture, places, order=1), atol=1e-5
    )
