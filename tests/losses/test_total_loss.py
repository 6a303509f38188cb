import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses import adaptive_focal_loss, normalized_focal_loss
from mst_jax.losses.mask_losses import MASK_LOSSES
from mst_jax.losses.total_loss import TERMS, Term, check_terms, total_loss
from mst_jax.structs import Batch, Outputs


@pytest.fixture
def case(rng):
    shape = (2, 3, 4)
    logits = jnp.asarray(rng.normal(size=shape), jnp.float32)
    target, valid = jnp.asarray(rng.random((2, *shape)) < 0.6)
    batch = Batch(
        image=jnp.zeros((*shape, 3)), target=target, valid=valid, others=~target
    )
    return Outputs(logits=logits), batch


def mean_of_means(loss, outputs, batch, **options):
    """The mean over examples of the mean over their valid pixels, one by one."""
    examples = zip(outputs.logits, batch.target, batch.valid, strict=True)
    return np.mean([loss(x[v], y[v], **options).mean() for x, y, v in examples])


def test_a_mask_loss_is_the_mean_over_valid_pixels_then_examples(case):
    loss, parts = total_loss(*case, losses={"normalized_focal": 3.0})
    want = mean_of_means(normalized_focal_loss, *case)
    np.testing.assert_allclose(parts["normalized_focal"], want, rtol=1e-5)
    np.testing.assert_allclose(loss, 3 * want, rtol=1e-5)


def test_options_reach_the_loss(case):
    options = dict(delta=0.8, ada=False, epsilon=0.3)
    losses = {"adaptive_focal": {"weight": 2, **options}}
    loss, _ = total_loss(*case, losses=losses)
    want = mean_of_means(adaptive_focal_loss, *case, **options)
    np.testing.assert_allclose(loss, 2 * want, rtol=1e-5)


def test_every_mask_loss_is_a_term(case):
    loss, parts = total_loss(*case, losses=dict.fromkeys(MASK_LOSSES, 1.0))
    assert list(parts) == list(MASK_LOSSES)
    np.testing.assert_allclose(loss, sum(parts.values()), rtol=1e-6)


def test_a_part_is_a_sum_over_the_batch_divided_by_a_sum_over_the_batch(
    case, monkeypatch
):
    def loss(logits, target, valid, *, scale=1.0):
        return jnp.array([1.0, 6.0]), scale * jnp.array([1.5, 2.0])

    monkeypatch.setitem(TERMS, "two", Term("logits", loss))
    one, _ = total_loss(*case, losses={"dice": 1.0})
    both, parts = total_loss(*case, losses={"dice": 1.0, "two": 0.5})
    assert float(parts["two"]) == 2.0
    np.testing.assert_allclose(both, one + 1.0, rtol=1e-6)
    _, parts = total_loss(*case, losses={"two": {"weight": 1.0, "scale": 0.5}})
    assert float(parts["two"]) == 4.0


def test_a_part_of_which_nothing_counts_is_zero(case, monkeypatch):
    def loss(logits, target, valid):
        return 0.0 * logits.sum((1, 2)), jnp.zeros(2)

    monkeypatch.setitem(TERMS, "none", Term("logits", loss))
    outputs, batch = case

    def total(logits):
        return total_loss(Outputs(logits), batch, losses={"none": 1.0})[0]

    value, gradient = jax.value_and_grad(total)(outputs.logits)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((2, 3, 4)))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("token_contrast", "choices"),
        ("token_score", "choices"),
        ("query_class", "queries"),
        ("query_dice", "queries"),
    ],
)
def test_what_the_model_does_not_say_is_named_while_tracing(case, name, field):
    with pytest.raises(
        ValueError, match=rf"names {name}, .* outputs\.{field}; the mod"
    ):
        jax.eval_shape(lambda *x: total_loss(*x, losses={name: 1.0}), *case)


@pytest.mark.parametrize(
    ("losses", "sentence"),
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
            {"adaptive_focal": {"weight": 1.0, "ada": 1}},
            "adaptive_focal.ada is 1, expected a value like True",
        ),
        (
            {"focal": {"weight": 1.0, "alpha": "no"}},
            "focal.alpha is 'no', expected a value like None",
        ),
    ],
)
def test_wrong_losses_are_named(losses, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_terms(losses)


def test_right_losses_pass():
    check_terms(
        {
            "focal": {"weight": 1, "alpha": None, "gamma": 1},
            "poly": {"weight": 0.5, "alpha": 2},
            "adaptive_focal": {"weight": 1.0, "ada": False},
            "bce": 2,
        }
    )
