"""The total loss: terms, counts, options, and errors in config.losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses import adaptive_focal_loss, normalized_focal_loss
from mst_jax.losses.mask_losses import MASK_LOSSES
from mst_jax.losses.total_loss import (
    LOSS_TERMS,
    LossTerm,
    check_loss_config,
    total_loss,
)
from mst_jax.structs import Batch, Outputs


@pytest.fixture
def outputs_and_batch(rng):
    shape = (2, 3, 4)
    logits = jnp.asarray(rng.normal(size=shape), jnp.float32)
    target, valid = jnp.asarray(rng.random((2, *shape)) < 0.6)
    batch = Batch(
        image=jnp.zeros((*shape, 3)), target=target, valid=valid, others=~target
    )
    return Outputs(logits=logits), batch


def mean_of_example_means(loss_fn, outputs, batch, **options):
    """Return the mean over examples of the mean over their valid pixels."""
    examples = zip(outputs.logits, batch.target, batch.valid, strict=True)
    return np.mean(
        [
            loss_fn(logits[valid], target[valid], **options).mean()
            for logits, target, valid in examples
        ]
    )


def test_a_mask_loss_is_the_mean_over_valid_pixels_then_examples(outputs_and_batch):
    loss, terms = total_loss(*outputs_and_batch, losses={"normalized_focal": 3.0})
    expected = mean_of_example_means(normalized_focal_loss, *outputs_and_batch)
    np.testing.assert_allclose(terms["normalized_focal"], expected, rtol=1e-5)
    np.testing.assert_allclose(loss, 3 * expected, rtol=1e-5)


def test_options_reach_the_loss(outputs_and_batch):
    options = dict(delta=0.8, adaptive_gamma=False, epsilon=0.3)
    losses = {"adaptive_focal": {"weight": 2, **options}}
    loss, _ = total_loss(*outputs_and_batch, losses=losses)
    expected = mean_of_example_means(adaptive_focal_loss, *outputs_and_batch, **options)
    np.testing.assert_allclose(loss, 2 * expected, rtol=1e-5)


def test_every_mask_loss_is_a_loss_term(outputs_and_batch):
    loss, terms = total_loss(*outputs_and_batch, losses=dict.fromkeys(MASK_LOSSES, 1.0))
    assert list(terms) == list(MASK_LOSSES)
    np.testing.assert_allclose(loss, sum(terms.values()), rtol=1e-6)


def test_term_is_the_sum_of_values_over_the_sum_of_counts(
    outputs_and_batch, monkeypatch
):
    def scaled_loss(logits, targets, *, where, scale=1.0):
        return jnp.array([1.0, 6.0]), scale * jnp.array([1.5, 2.0])

    monkeypatch.setitem(LOSS_TERMS, "two", LossTerm("logits", scaled_loss))
    dice_only, _ = total_loss(*outputs_and_batch, losses={"dice": 1.0})
    both, terms = total_loss(*outputs_and_batch, losses={"dice": 1.0, "two": 0.5})
    assert float(terms["two"]) == 2.0
    np.testing.assert_allclose(both, dice_only + 1.0, rtol=1e-6)
    _, terms = total_loss(
        *outputs_and_batch, losses={"two": {"weight": 1.0, "scale": 0.5}}
    )
    assert float(terms["two"]) == 4.0


def test_term_without_counts_is_zero(outputs_and_batch, monkeypatch):
    def uncounted_loss(logits, targets, *, where):
        return 0.0 * logits.sum((1, 2)), jnp.zeros(2)

    monkeypatch.setitem(LOSS_TERMS, "none", LossTerm("logits", uncounted_loss))
    outputs, batch = outputs_and_batch

    def loss_of_logits(logits):
        return total_loss(Outputs(logits), batch, losses={"none": 1.0})[0]

    value, gradient = jax.value_and_grad(loss_of_logits)(outputs.logits)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((2, 3, 4)))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("token_contrast", "selections"),
        ("token_score", "selections"),
        ("query_class", "queries"),
        ("query_dice", "queries"),
    ],
)
def test_missing_outputs_are_rejected_while_tracing(outputs_and_batch, name, field):
    with pytest.raises(
        ValueError, match=rf"names {name}, .* outputs\.{field}; the mod"
    ):
        jax.eval_shape(
            lambda *x: total_loss(*x, losses={name: 1.0}), *outputs_and_batch
        )


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ({"dise": 1.0}, "names dise; known losses: bce, weighted_bce"),
        ({}, "names no loss"),
        ({"dice": 0.0}, "weight of config.losses.dice is 0.0, expected more than 0"),
        ({"dice": {"weight": -1}}, "weight of config.losses.dice is -1, expected more"),
        ({"dice": "x"}, r"losses.dice.weight is 'x', expected a value like 1\.0"),
        ({"dice": float("nan")}, "losses.dice.weight is nan, expected a value"),
        ({"dice": True}, "losses.dice.weight is True, expected a value"),
        ({"poly": {"gamma": 3.0}}, "losses.poly has missing keys weight; it takes"),
        (
            {"poly": {"weight": 1.0, "axis": 3, "delta": 1}},
            "poly has unknown keys axis, delta; it takes weight, gamma, alpha$",
        ),
        (
            {"adaptive_focal": {"weight": 1.0, "adaptive_gamma": 1}},
            "adaptive_focal.adaptive_gamma is 1, expected a value like True",
        ),
        (
            {"focal": {"weight": 1.0, "alpha": "no"}},
            "focal.alpha is 'no', expected a value like None",
        ),
    ],
)
def test_wrong_loss_configs_are_rejected(losses, message):
    with pytest.raises(ValueError, match=message):
        check_loss_config(losses)


def test_right_loss_config_passes():
    check_loss_config(
        {
            "focal": {"weight": 1, "alpha": None, "gamma": 1},
            "poly": {"weight": 0.5, "alpha": 2},
            "adaptive_focal": {"weight": 1.0, "adaptive_gamma": False},
            "bce": 2,
        }
    )
