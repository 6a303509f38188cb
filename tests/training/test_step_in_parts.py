import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.models.build import build
from tests.helpers.small_step import Threshold, make_small_step
from tests.helpers.tiny_models import TINY, recipe_losses, tiny_batch
from tests.models.test_simpleclick import drawn_params


def check_same(params, module, losses, batch):
    (whole, at_once), (parts, in_parts) = (
        make_small_step(module, losses, num_parts)(params, batch)
        for num_parts in (1, 2)
    )
    for name, value in at_once.items():
        np.testing.assert_allclose(in_parts[name], value, rtol=2e-5, err_msg=name)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), whole.params, params)
    assert max(jax.tree.leaves(moved)) > 1e-3
    for one, other in ((parts, whole), (parts.average, whole.average)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
            getattr(one, "params", one),
            getattr(other, "params", other),
        )
    return whole


def test_a_batch_in_parts_is_the_same_step():
    params = {"gain": jnp.ones(2)}
    losses = {"normalized_focal": 1.0, "dice": 0.5}
    after = check_same(params, Threshold(), losses, tiny_batch(4, side=16))
    # A tenth of the old at the first step.
    want = 0.1 * params["gain"] + 0.9 * after.params["gain"]
    np.testing.assert_allclose(after.average["gain"], want, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_a_batch_in_parts_is_the_same_step_of_every_recipe(name):
    module = build(name, **TINY[name])
    params = jax.tree.map(lambda leaf: 0.2 * leaf, drawn_params(module))
    check_same(params, module, recipe_losses(name), tiny_batch(4))
