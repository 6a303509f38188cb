"""A training step with gradient accumulation is the step of the whole batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.models.build import build
from tests.helpers.random_models import random_params
from tests.helpers.small_step import BrightnessModel, make_small_step
from tests.helpers.tiny_models import TINY_MODELS, published_losses, tiny_batch


def check_same_step(params, module, losses, batch):
    """Compare the steps with one and two microbatches; return the state of the first."""
    (whole, whole_metrics), (accumulated, accumulated_metrics) = (
        make_small_step(module, losses, grad_accum_steps)(params, batch)
        for grad_accum_steps in (1, 2)
    )
    for name, value in whole_metrics.items():
        np.testing.assert_allclose(
            accumulated_metrics[name], value, rtol=2e-5, err_msg=name
        )
    changes = jax.tree.map(lambda a, b: np.abs(a - b).max(), whole.params, params)
    assert max(jax.tree.leaves(changes)) > 1e-3
    for tree, expected in (
        (accumulated.params, whole.params),
        (accumulated.ema_params, whole.ema_params),
    ):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), tree, expected
        )
    return whole


def test_microbatches_make_the_same_step():
    params = {"gain": jnp.ones(2)}
    losses = {"normalized_focal": 1.0, "dice": 0.5}
    batch = tiny_batch(4, side=16)
    state = check_same_step(params, BrightnessModel(), losses, batch)
    # A tenth of the old value at the first step.
    expected = 0.1 * params["gain"] + 0.9 * state.params["gain"]
    np.testing.assert_allclose(state.ema_params["gain"], expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
def test_microbatches_make_the_same_step_of_every_model(name):
    module = build(name, **TINY_MODELS[name])
    params = jax.tree.map(lambda leaf: 0.2 * leaf, random_params(module))
    check_same_step(params, module, published_losses(name), tiny_batch(4))
