import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mst_jax.necks.simple_pyramid import Enlarge, SimplePyramid


def test_each_cell_becomes_a_square():
    x = jnp.array([[1.0, 10.0]]).reshape(1, 1, 2, 1)
    square = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    params = {"kernel": {"kernel": square}, "bias": jnp.zeros(1)}
    out = Enlarge(1).apply({"params": params}, x)
    np.testing.assert_array_equal(out[0, ..., 0], [[1, 2, 10, 20], [3, 4, 30, 40]])


def test_it_is_a_transposed_convolution(rng):
    x = jnp.asarray(rng.normal(size=(2, 3, 5, 4)), jnp.float32)
    out, variables = Enlarge(6).init_with_output(jax.random.key(0), x)
    kernel = variables["params"]["kernel"]["kernel"]
    # lax reads the kernel of a transposed convolution turned round.
    turned = jnp.einsum("cyxd->yxcd", kernel)[::-1, ::-1]
    want = lax.conv_transpose(x, turned, strides=(2, 2), padding="VALID")
    np.testing.assert_allclose(out, want, atol=1e-5)


def test_sizes_and_widths_of_the_maps():
    module = SimplePyramid((16, 32, 64, 128))
    shape = jax.ShapeDtypeStruct((2, 5, 6, 48), jnp.float32)
    maps, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), shape)
    assert [x.shape for x in maps] == [
        (2, 20, 24, 16),
        (2, 10, 12, 32),
        (2, 5, 6, 64),
        (2, 2, 3, 128),
    ]
    params = variables["params"]
    # max(2 * d0, c / 2), half of it, max(d1, c / 2), max(d3, 2 c)
    assert params["quarter"]["bias"].shape == (32,)
    assert params["quarter2"]["bias"].shape == (16,)
    assert params["eighth"]["bias"].shape == (32,)
    assert params["half"]["bias"].shape == (128,)


def test_the_coarse_map_joins_four_cells():
    module = SimplePyramid((4, 4, 4, 4))
    grid = jnp.zeros((1, 4, 4, 4))
    variables = jax.jit(module.init)(jax.random.key(0), grid)
    moved = grid.at[0, 3, 2].set(5.0)
    before = module.apply(variables, grid)[3]
    after = module.apply(variables, moved)[3]
    # Norms see the whole map; the changed cell still stands out at its own place.
    change = np.abs(after - before).max(-1)[0]
    assert np.unravel_index(change.argmax(), change.shape) == (1, 1)
