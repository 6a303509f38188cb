import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mst_jax.geometry.resize import resize_bicubic_antialiased
from mst_jax.layers.patch_embed import PatchEmbed, resize_patch_kernel


def test_each_patch_becomes_one_token():
    image = jnp.arange(16.0).reshape(1, 4, 4, 1)
    # The kernel reads the upper right pixel of a 2x2 patch, ten times.
    kernel = jnp.array([[0.0, 10.0], [0.0, 0.0]]).reshape(2, 2, 1, 1)
    params = {"kernel": kernel, "bias": jnp.array([0.5])}
    tokens = PatchEmbed(width=1, patch_size=2).apply({"params": params}, image)
    np.testing.assert_array_equal(tokens[0, ..., 0], [[10.5, 30.5], [90.5, 110.5]])


def test_equals_strided_convolution(rng):
    image = jnp.asarray(rng.normal(size=(2, 12, 8, 3)), jnp.float32)
    module = PatchEmbed(width=5, patch_size=4)
    tokens, variables = module.init_with_output(jax.random.key(0), image)
    expected = lax.conv_general_dilated(
        image,
        variables["params"]["kernel"],
        window_strides=(4, 4),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    np.testing.assert_allclose(tokens, expected, atol=1e-5)


def test_image_of_partial_patches_raises():
    with pytest.raises(ValueError, match="30x32, not whole 16-pixel patches"):
        PatchEmbed(4, 16).init(jax.random.key(0), jnp.zeros((1, 30, 32, 3)))


@pytest.mark.parametrize("patch_size", [2, 3, 8])
def test_resized_kernel_uses_pseudo_inverse_of_flat_patches(rng, patch_size):
    """Written out as in the paper: rows of R are resized basis patches."""
    kernel = jnp.asarray(rng.normal(size=(4, 4, 2, 3)), jnp.float32)
    basis_patches = jnp.eye(16).reshape(16, 4, 4, 1)
    resized_basis = resize_bicubic_antialiased(basis_patches, patch_size, patch_size)
    resized_basis = np.asarray(resized_basis.reshape(16, -1), np.float64)
    expected = np.linalg.pinv(resized_basis) @ np.asarray(kernel).reshape(16, -1)
    actual = resize_patch_kernel(kernel, patch_size).reshape(patch_size**2, -1)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_kernel_is_resized_before_it_is_rounded(rng):
    """An image of one white pixel reads one pixel of the resized kernel."""
    kernel = jnp.asarray(rng.normal(size=(4, 4, 1, 8)), jnp.float32)
    params = {"kernel": kernel, "bias": jnp.zeros(8)}
    image = jnp.zeros((1, 2, 2, 1)).at[0, 0, 1].set(1.0)
    module = PatchEmbed(width=8, patch_size=4, dtype=jnp.bfloat16)
    token = module.apply({"params": params}, image, patch_size=2)[0, 0, 0]
    expected = resize_patch_kernel(kernel, 2)[0, 1, 0].astype(jnp.bfloat16)
    np.testing.assert_array_equal(token.astype(float), expected.astype(float))


def test_one_kernel_embeds_patches_of_other_sizes(rng):
    module = PatchEmbed(width=2, patch_size=4)
    image = jnp.asarray(rng.normal(size=(1, 8, 8, 3)), jnp.float32)
    variables = module.init(jax.random.key(0), image)
    assert variables["params"]["kernel"].shape == (4, 4, 3, 2)
    variables["params"]["bias"] = jnp.array([0.5, -1.0])
    kernel = resize_patch_kernel(variables["params"]["kernel"], 2)
    fine_tokens = module.apply(variables, image, patch_size=2)
    expected = np.einsum("yxc,yxcd->d", image[0, 2:4, 6:8], kernel)
    expected = expected + np.array([0.5, -1.0])
    np.testing.assert_allclose(fine_tokens[0, 1, 3], expected, rtol=1e-4)
