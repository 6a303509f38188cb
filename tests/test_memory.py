"""Rematerialization of whole models: the same gradients in less memory."""

import jax
import numpy as np
import pytest

from mst_jax.layers.remat import REMAT_MODES
from mst_jax.losses.total_loss import total_loss
from mst_jax.models.build import build
from tests.helpers.compiler_options import RECOMPUTE_LIKE_ACCELERATORS
from tests.helpers.random_models import random_inputs, random_params
from tests.helpers.tiny_models import TINY_MODELS, published_losses, tiny_batch


def loss_and_params(name, remat, *, depth=4):
    """The loss of a recipe as a function of its parameters, and random parameters."""
    module = build(name, remat=remat, **TINY_MODELS[name] | {"depth": depth})
    params = jax.tree.map(lambda leaf: 0.2 * leaf, random_params(module))
    batch, (_, clicks, _) = tiny_batch(2), random_inputs(64, 64)
    image = batch.image / 255.0

    def loss_of(params):
        outputs = module.apply({"params": params}, image, clicks, image[..., 0])
        return total_loss(outputs, batch, losses=published_losses(name))[0]

    return loss_of, params


def stored_bytes(loss_of, params):
    """Bytes that the forward pass stores for the backward pass."""
    backward = jax.eval_shape(lambda params: jax.vjp(loss_of, params)[1], params)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(backward))


# It has the parts of all others.
LARGEST_RECIPE = "mst_adaptive"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == LARGEST_RECIPE else pytest.mark.slow)
        for name in TINY_MODELS
    ],
)
def test_remat_stores_fewer_bytes(name):
    none, products, blocks = (
        stored_bytes(*loss_and_params(name, remat, depth=2)) for remat in REMAT_MODES
    )
    assert blocks < products < none and blocks < 0.7 * none


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
def test_remat_gives_equal_gradients_in_less_memory(name):
    results, temporary_bytes = [], []
    for remat in REMAT_MODES:
        loss_of, params = loss_and_params(name, remat)
        program = jax.jit(jax.value_and_grad(loss_of)).lower(params)
        program = program.compile(compiler_options=RECOMPUTE_LIKE_ACCELERATORS)
        temporary_bytes.append(program.memory_analysis().temp_size_in_bytes)
        results.append(program(params))
    expected_loss, expected_gradient = results[0]
    gradient_leaves = jax.tree.leaves(expected_gradient)
    largest = max(float(np.abs(leaf).max()) for leaf in gradient_leaves)
    assert largest > 1e-3
    for loss, gradient in results[1:]:
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6 * largest),
            gradient,
            expected_gradient,
        )
    none, products, blocks = temporary_bytes
    assert blocks < products < none, temporary_bytes
