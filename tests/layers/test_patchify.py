import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mst_jax.layers.patchify import Patchify


def test_each_patch_is_one_token():
    image = jnp.arange(16.0).reshape(1, 4, 4, 1)
    # The kernel reads the top right pixel of a 2x2 patch, ten times.
    kernel = jnp.array([[0.0, 10.0], [0.0, 0.0]]).reshape(2, 2, 1, 1)
    params = {"kernel": kernel, "bias": jnp.array([0.5])}
    tokens = Patchify(width=1, patch=2).apply({"params": params}, image)
    np.testing.assert_array_equal(tokens[0, ..., 0], [[10.5, 30.5], [90.5, 110.5]])


def test_it_is_a_strided_convolution(rng):
    image = jnp.asarray(rng.normal(size=(2, 12, 8, 3)), jnp.float32)
    module = Patchify(width=5, patch=4)
    tokens, variables = module.init_with_output(jax.random.key(0), image)
    want = lax.conv_general_dilated(
        image,
        variables["params"]["kernel"],
        window_strides=(4, 4),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    np.testing.assert_allclose(tokens, want, atol=1e-5)


def test_a_picture_that_is_not_whole_patches_is_refused():
    with pytest.raises(ValueError, match="30x32, not whole 16-pixel patches"):
        Patchify(4, 16).init(jax.random.key(0), jnp.zeros((1, 30, 32, 3)))
