import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mst_jax.geometry.resize import resize_bicubic_antialiased
from mst_jax.layers.patchify import Patchify, resize_kernel


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


@pytest.mark.parametrize("patch", [2, 3, 8])
def test_a_resized_kernel_is_the_pseudo_inverse_of_flat_patches(rng, patch):
    """Written out as in the paper: rows of R are resized basis patches."""
    kernel = jnp.asarray(rng.normal(size=(4, 4, 2, 3)), jnp.float32)
    basis = jnp.eye(16).reshape(16, 4, 4, 1)
    resized = resize_bicubic_antialiased(basis, patch, patch).reshape(16, -1)
    want = np.linalg.pinv(np.asarray(resized, np.float64)) @ np.asarray(kernel).reshape(
        16, -1
    )
    got = resize_kernel(kernel, patch).reshape(patch * patch, -1)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_kernel_is_resized_before_it_is_rounded(rng):
    """A picture of one white pixel reads one place of the resized kernel."""
    kernel = jnp.asarray(rng.normal(size=(4, 4, 1, 8)), jnp.float32)
    params = {"kernel": kernel, "bias": jnp.zeros(8)}
    image = jnp.zeros((1, 2, 2, 1)).at[0, 0, 1].set(1.0)
    module = Patchify(width=8, patch=4, dtype=jnp.bfloat16)
    token = module.apply({"params": params}, image, patch=2)[0, 0, 0]
    want = resize_kernel(kernel, 2)[0, 1, 0].astype(jnp.bfloat16)
    np.testing.assert_array_equal(token.astype(float), want.astype(float))


def test_one_kernel_serves_patches_of_other_sizes(rng):
    module = Patchify(width=2, patch=4)
    image = jnp.asarray(rng.normal(size=(1, 8, 8, 3)), jnp.float32)
    variables = module.init(jax.random.key(0), image)
    assert variables["params"]["kernel"].shape == (4, 4, 3, 2)
    variables["params"]["bias"] = jnp.array([0.5, -1.0])
    kernel = resize_kernel(variables["params"]["kernel"], 2)
    fine = module.apply(variables, image, patch=2)
    want = np.einsum("yxc,yxcd->d", image[0, 2:4, 6:8], kernel)
    np.testing.assert_allclose(fine[0, 1, 3], want + np.array([0.5, -1.0]), rtol=1e-4)
