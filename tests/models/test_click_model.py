import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.models.simpleclick import simpleclick
from mst_jax.structs import Clicks
from tests.models.test_simpleclick import SMALL, drawn_inputs, drawn_params


@pytest.fixture(scope="module")
def run():
    module = simpleclick(size="tiny", **SMALL)
    params = {"params": drawn_params(module)}
    return jax.jit(lambda *inputs: module.apply(params, *inputs).logits)


@pytest.fixture(scope="module")
def inputs():
    return drawn_inputs(64, 64)


def test_every_input_is_heard(run, inputs):
    image, clicks, previous = inputs
    logits = run(*inputs)
    flipped = Clicks(clicks.yx, jnp.where(clicks.kept, 1 - clicks.label, clicks.label))
    for changed in (
        (1 - image, clicks, previous),
        (image, flipped, previous),
        (image, clicks, 1 - previous),
    ):
        assert np.abs(run(*changed) - logits).max() > 1e-3


def test_examples_do_not_see_each_other(run, inputs):
    logits = run(*inputs)
    turned = run(*jax.tree.map(lambda leaf: leaf[::-1], inputs))
    np.testing.assert_allclose(turned[::-1], logits, atol=1e-5)


def test_the_order_of_clicks_and_empty_slots_do_not_matter(run, inputs):
    image, clicks, previous = inputs
    mixed = Clicks(clicks.yx[:, ::-1], clicks.label[:, ::-1])
    moved = jnp.where(clicks.kept[..., None], clicks.yx, 7.0)
    want = run(image, clicks, previous)
    np.testing.assert_array_equal(run(image, mixed, previous), want)
    np.testing.assert_array_equal(
        run(image, Clicks(moved, clicks.label), previous), want
    )


def test_channels_are_dropped_in_training_only(inputs):
    module = simpleclick(size="tiny", dropout=0.5, **SMALL)
    params = {"params": drawn_params(module)}
    train = jax.jit(
        lambda key: (
            module.apply(params, *inputs, train=True, rngs={"dropout": key}).logits
        )
    )
    one, two = train(jax.random.key(0)), train(jax.random.key(1))
    assert np.abs(one - two).max() > 1e-3
