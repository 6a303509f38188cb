"""What is computed again instead of kept: the same gradients, less memory."""

import jax
import numpy as np
import pytest

from mst_jax.layers.remat import REMATS
from mst_jax.losses.total_loss import total_loss
from mst_jax.models.build import build
from tests.helpers.tiny_models import TINY, recipe_losses, tiny_batch
from tests.layers.test_remat import AS_ON_ACCELERATORS
from tests.models.test_simpleclick import drawn_inputs, drawn_params


def loss_of_recipe(name, remat):
    """The loss of a recipe as a function of its parameters, and parameters."""
    module = build(name, remat=remat, **TINY[name] | {"depth": 4})
    params = jax.tree.map(lambda leaf: 0.2 * leaf, drawn_params(module))
    batch, (_, clicks, _) = tiny_batch(2), drawn_inputs(64, 64)
    image = batch.image / 255.0

    def loss_of(params):
        outputs = module.apply({"params": params}, image, clicks, image[..., 0])
        return total_loss(outputs, batch, losses=recipe_losses(name))[0]

    return loss_of, params


def kept_bytes(loss_of, params):
    """Bytes that the forward pass leaves to the backward pass."""
    backward = jax.eval_shape(lambda params: jax.vjp(loss_of, params)[1], params)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(backward))


# It has the parts of all others.
WHOLE = "mst_adaptive"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == WHOLE else pytest.mark.slow)
        for name in TINY
    ],
)
def test_less_is_kept(name):
    none, products, blocks = (kept_bytes(*loss_of_recipe(name, r)) for r in REMATS)
    assert blocks < products < none and blocks < 0.7 * none


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_the_same_gradients_in_less_memory(name):
    results, memory = [], []
    for remat in REMATS:
        loss_of, params = loss_of_recipe(name, remat)
        program = jax.jit(jax.value_and_grad(loss_of)).lower(params)
        program = program.compile(compiler_options=AS_ON_ACCELERATORS)
        memory.append(program.memory_analysis().temp_size_in_bytes)
        results.append(program(params))
    want, gradient = results[0]
    largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))
    assert largest > 1e-3
    for loss, other in results[1:]:
        np.testing.assert_allclose(loss, want, rtol=1e-6)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6 * largest),
            other,
            gradient,
        )
    none, products, blocks = memory
    assert blocks < products < none, memory
