"""The shared model: inputs, independence of examples, slots, dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.models.simpleclick import simpleclick
from mst_jax.structs import Clicks
from tests.helpers.random_models import SMALL_SIMPLECLICK, random_inputs, random_params


@pytest.fixture(scope="module")
def predict_logits():
    module = simpleclick(size="tiny", **SMALL_SIMPLECLICK)
    params = {"params": random_params(module)}
    return jax.jit(lambda *inputs: module.apply(params, *inputs).logits)


@pytest.fixture(scope="module")
def inputs():
    return random_inputs(64, 64)


def test_every_input_changes_the_logits(predict_logits, inputs):
    image, clicks, prev_mask = inputs
    logits = predict_logits(*inputs)
    flipped = Clicks(
        clicks.yx, jnp.where(clicks.is_filled, 1 - clicks.label, clicks.label)
    )
    for changed_inputs in (
        (1 - image, clicks, prev_mask),
        (image, flipped, prev_mask),
        (image, clicks, 1 - prev_mask),
    ):
        assert np.abs(predict_logits(*changed_inputs) - logits).max() > 1e-3


def test_examples_are_independent(predict_logits, inputs):
    logits = predict_logits(*inputs)
    reversed_logits = predict_logits(*jax.tree.map(lambda leaf: leaf[::-1], inputs))
    np.testing.assert_allclose(reversed_logits[::-1], logits, atol=1e-5)


def test_click_order_and_empty_slots_do_not_matter(predict_logits, inputs):
    image, clicks, prev_mask = inputs
    reordered = Clicks(clicks.yx[:, ::-1], clicks.label[:, ::-1])
    other_empty_yx = jnp.where(clicks.is_filled[..., None], clicks.yx, 7.0)
    expected = predict_logits(image, clicks, prev_mask)
    np.testing.assert_array_equal(predict_logits(image, reordered, prev_mask), expected)
    np.testing.assert_array_equal(
        predict_logits(image, Clicks(other_empty_yx, clicks.label), prev_mask), expected
    )


def test_training_drops_channels_by_the_random_key(inputs):
    small_model = SMALL_SIMPLECLICK | {"depth": 1}
    module = simpleclick(size="tiny", dropout=0.5, **small_model)
    params = {"params": random_params(module)}
    train_logits = jax.jit(
        lambda key: (
            module.apply(params, *inputs, train=True, rngs={"dropout": key}).logits
        )
    )
    first_logits = train_logits(jax.random.key(0))
    second_logits = train_logits(jax.random.key(1))
    assert np.abs(first_logits - second_logits).max() > 1e-3
