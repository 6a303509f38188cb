import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mst_jax.necks.simple_pyramid import SimplePyramid, Upsample2x


def test_each_cell_becomes_a_square():
    x = jnp.array([[1.0, 10.0]]).reshape(1, 1, 2, 1)
    square = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    params = {"kernel": {"kernel": square}, "bias": jnp.zeros(1)}
    upsampled = Upsample2x(1).apply({"params": params}, x)
    np.testing.assert_array_equal(
        upsampled[0, ..., 0], [[1, 2, 10, 20], [3, 4, 30, 40]]
    )


def test_upsampling_equals_transposed_convolution(rng):
    x = jnp.asarray(rng.normal(size=(2, 3, 5, 4)), jnp.float32)
    upsampled, variables = Upsample2x(6).init_with_output(jax.random.key(0), x)
    kernel = variables["params"]["kernel"]["kernel"]
    # lax flips the kernel of a transposed convolution.
    flipped_kernel = jnp.einsum("cyxd->yxcd", kernel)[::-1, ::-1]
    expected = lax.conv_transpose(x, flipped_kernel, strides=(2, 2), padding="VALID")
    np.testing.assert_allclose(upsampled, expected, atol=1e-5)


def test_sizes_and_widths_of_the_maps():
    module = SimplePyramid((16, 32, 64, 128))
    grid = jax.ShapeDtypeStruct((2, 5, 6, 48), jnp.float32)
    maps, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), grid)
    assert [level.shape for level in maps] == [
        (2, 20, 24, 16),
        (2, 10, 12, 32),
        (2, 5, 6, 64),
        (2, 2, 3, 128),
    ]
    params = variables["params"]
    # max(2 * d4, c / 2), half of it, max(d8, c / 2), max(d32, 2 c)
    assert params["quarter"]["bias"].shape == (32,)
    assert params["quarter2"]["bias"].shape == (16,)
    assert params["eighth"]["bias"].shape == (32,)
    assert params["half"]["bias"].shape == (128,)


def test_coarsest_map_joins_four_cells():
    module = SimplePyramid((4, 4, 4, 4))
    grid = jnp.zeros((1, 4, 4, 4))
    variables = jax.jit(module.init)(jax.random.key(0), grid)
    apply = jax.jit(module.apply)
    before = apply(variables, grid)[3]
    after = apply(variables, grid.at[0, 3, 2].set(5.0))[3]
    # Norms see the whole map; the changed cell still has the largest difference.
    difference = np.abs(after - before).max(-1)[0]
    assert np.unravel_index(difference.argmax(), difference.shape) == (1, 1)
