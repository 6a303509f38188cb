import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.remat import REMAT_MODES, add_residual, check_remat, with_remat
from tests.helpers.compiler_options import RECOMPUTE_LIKE_ACCELERATORS


class SineLayer(nn.Module):
    """A matrix product, a sine, and an argument that is not an array."""

    @nn.compact
    def __call__(self, x, factor):
        return jnp.sin(nn.Dense(x.shape[-1], name="dense")(x)) * factor


def gradient_of(remat):
    """Loss and gradient, number of matrix products in the program, parameters."""
    module = with_remat(SineLayer, remat, static_argnums=(2,))()
    x = jnp.arange(6.0).reshape(2, 3)
    params = SineLayer().init(jax.random.key(0), x, 2)

    def loss_of(params):
        return module.apply(params, x, 2).sum()

    loss_and_gradient = jax.jit(jax.value_and_grad(loss_of))
    program_text = loss_and_gradient.lower(params).as_text()
    num_products = program_text.count("stablehlo.dot_general")
    return loss_and_gradient(params), num_products, params


def test_gradients_are_equal_and_blocks_repeats_the_product():
    """One product forward, one backward; recomputing the layer needs a third."""
    (expected, none_count, params), (products, products_count, _), blocks_result = (
        gradient_of(remat) for remat in REMAT_MODES
    )
    blocks, blocks_count, _ = blocks_result
    for actual in (products, blocks):
        jax.tree.map(np.testing.assert_array_equal, actual, expected)
    assert (none_count, products_count, blocks_count) == (2, 2, 3)
    assert params["params"].keys() == {"dense"}


class EightLayers(nn.Module):
    """Eight sine layers, one after the other."""

    remat: str

    @nn.compact
    def __call__(self, x):
        layer_class = with_remat(SineLayer, self.remat, static_argnums=(2,))
        for index in range(8):
            x = layer_class(name=f"wave{index}")(x, 2)
        return x


def test_blocks_needs_less_memory():
    x = jnp.ones((1024, 32))
    params = EightLayers("none").init(jax.random.key(0), x)

    def temporary_bytes(remat):
        def loss_of(params):
            return (EightLayers(remat).apply(params, x) ** 2).sum()

        program = jax.jit(jax.grad(loss_of)).lower(params)
        program = program.compile(compiler_options=RECOMPUTE_LIKE_ACCELERATORS)
        return program.memory_analysis().temp_size_in_bytes

    assert temporary_bytes("blocks") < 0.7 * temporary_bytes("none")


def test_sum_and_its_gradient_are_stored():
    def apply_two_layers(x):
        for _ in range(2):
            x = add_residual(x, jnp.sin(x))
        return x.sum()

    x = jnp.arange(3.0)
    gradient = jax.grad(apply_two_layers)(x)
    first_sum = x + jnp.sin(x)
    expected = (1 + jnp.cos(x)) * (1 + jnp.cos(first_sum))
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)
    program_text = jax.jit(jax.grad(apply_two_layers)).lower(x).as_text()
    # Both gradients, and the first sum; nothing reads the second one.
    assert program_text.count("optimization_barrier") == 3


def test_equal_arguments_return_the_same_class():
    assert with_remat(SineLayer, "none") is SineLayer
    assert with_remat(SineLayer, "blocks")() == with_remat(SineLayer, "blocks")()


def test_unknown_mode_raises():
    with pytest.raises(
        ValueError, match="remat is 'all'; choose one of none, products"
    ):
        check_remat("all")
