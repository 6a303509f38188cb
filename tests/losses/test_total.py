import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses import normalized_focal_loss
from mst_jax.losses.total import TERMS, check_terms, total_loss
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


def test_the_mask_loss_is_the_mean_over_valid_pixels_then_examples(case):
    outputs, batch = case
    loss, parts = total_loss(outputs, batch, weights={"normalized_focal": 3.0})
    means = []
    for x, y, v in zip(outputs.logits, batch.target, batch.valid, strict=True):
        pixels = normalized_focal_loss(x[v], y[v])
        means.append(float(pixels.mean()))
    np.testing.assert_allclose(parts["normalized_focal"], np.mean(means), rtol=1e-5)
    np.testing.assert_allclose(loss, 3 * np.mean(means), rtol=1e-5)


def test_parts_are_added_with_their_weights(case, monkeypatch):
    monkeypatch.setitem(TERMS, "two", lambda *_: jnp.array([1.0, 3.0]))
    outputs, batch = case
    one, _ = total_loss(outputs, batch, weights={"normalized_focal": 1.0})
    both, parts = total_loss(
        outputs, batch, weights={"normalized_focal": 1.0, "two": 0.5}
    )
    assert float(parts["two"]) == 2.0
    np.testing.assert_allclose(both, one + 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"dise": 1.0}, "names dise; known losses: norm"),
        ({}, "names no loss"),
        ({"normalized_focal": 0.0}, "is 0.0, expected more than 0"),
    ],
)
def test_wrong_names_are_named(weights, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_terms(weights)
