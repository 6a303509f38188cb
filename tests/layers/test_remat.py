import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.remat import REMATS, check_remat, with_remat

# XLA's CPU compiler merges what is computed twice; accelerators' compilers do not.
AS_ON_ACCELERATORS = {"xla_disable_hlo_passes": "cse_barrier_expander"}


class Wave(nn.Module):
    """A product, a sine and a number that is no array."""

    @nn.compact
    def __call__(self, x, times):
        return jnp.sin(nn.Dense(x.shape[-1], name="dense")(x)) * times


def gradient_of(remat):
    module = with_remat(Wave, remat, static=(2,))()
    x = jnp.arange(6.0).reshape(2, 3)
    params = Wave().init(jax.random.key(0), x, 2)

    def loss(params):
        return module.apply(params, x, 2).sum()

    both = jax.jit(jax.value_and_grad(loss))
    products = both.lower(params).as_text().count("stablehlo.dot_general")
    return both(params), products, params


def test_the_same_parameters_and_gradients_with_more_products():
    """One product forward, one backward; the whole layer again needs a third."""
    (want, plain, params), (products, kept, _), (blocks, again, _) = (
        gradient_of(remat) for remat in REMATS
    )
    for got in (products, blocks):
        jax.tree.map(np.testing.assert_array_equal, got, want)
    assert (plain, kept, again) == (2, 2, 3)
    assert params["params"].keys() == {"dense"}


class Waves(nn.Module):
    """Eight of them."""

    remat: str

    @nn.compact
    def __call__(self, x):
        make = with_remat(Wave, self.remat, static=(2,))
        for number in range(8):
            x = make(name=f"wave{number}")(x, 2)
        return x


def test_the_program_needs_less_memory():
    x = jnp.ones((1024, 32))
    params = Waves("none").init(jax.random.key(0), x)

    def memory(remat):
        def loss(params):
            return (Waves(remat).apply(params, x) ** 2).sum()

        program = jax.jit(jax.grad(loss)).lower(params)
        program = program.compile(compiler_options=AS_ON_ACCELERATORS)
        return program.memory_analysis().temp_size_in_bytes

    assert memory("blocks") < 0.7 * memory("none")


def test_the_same_kind_of_layer_is_the_same_module():
    assert with_remat(Wave, "none") is Wave
    assert with_remat(Wave, "blocks")() == with_remat(Wave, "blocks")()


def test_an_unknown_name_is_refused():
    with pytest.raises(
        ValueError, match="remat is 'all'; choose one of none, products"
    ):
        check_remat("all")
