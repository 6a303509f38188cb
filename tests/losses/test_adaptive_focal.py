import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses import (
    adaptive_focal_loss,
    binary_cross_entropy_loss,
    focal_loss,
    normalized_focal_loss,
    poly_loss,
)

PLAIN = dict(epsilon=-1.0, ada=False, agr=False)


@pytest.fixture
def case(rng):
    logits = 3 * rng.normal(size=(3, 20))
    return jnp.asarray(logits, jnp.float32), jnp.asarray(rng.random((3, 20)) < 0.4)


def test_two_pixels_by_hand():
    # p = 1/2 and 3/4 at targets 1 and 0: 1 - pt is 1/2 and 3/4, pt of the object is 1/2.
    gamma_a = 1 + 1 - 1 / 2
    wrong = np.array([1 / 2, 3 / 4])
    omega = 2 / ((1 + 0.2 * gamma_a) * (wrong**gamma_a).sum())
    first = omega * wrong**gamma_a * np.log([2, 4])
    want = [0.3, 0.7] * (first + 0.6 * wrong ** (gamma_a + 1))
    loss = adaptive_focal_loss(
        jnp.array([0.0, np.log(3.0)]),
        jnp.array([1, 0]),
        **dict(gamma=1.0, delta=0.2, alpha=0.6, epsilon=0.3),
    )
    np.testing.assert_allclose(loss, want, rtol=1e-6)


def test_both_switches_off_is_the_poly_loss(case):
    loss = adaptive_focal_loss(*case, gamma=1.5, alpha=0.7, **PLAIN)
    np.testing.assert_allclose(loss, poly_loss(*case, gamma=1.5, alpha=0.7), rtol=1e-6)


def test_and_without_alpha_the_focal_loss(case):
    loss = adaptive_focal_loss(*case, gamma=1.5, alpha=0.0, **PLAIN)
    np.testing.assert_allclose(loss, focal_loss(*case, gamma=1.5), rtol=1e-6)


def test_and_without_gamma_the_cross_entropy(case):
    loss = adaptive_focal_loss(*case, gamma=0.0, alpha=0.0, **PLAIN)
    np.testing.assert_allclose(loss, binary_cross_entropy_loss(*case), rtol=1e-6)


def test_without_delta_it_is_the_normalised_focal_loss_and_a_poly_term(case):
    loss = adaptive_focal_loss(*case, delta=0.0, ada=False)
    term = poly_loss(*case) - focal_loss(*case)
    want = normalized_focal_loss(*case, alpha=0.5) + 0.5 * term
    np.testing.assert_allclose(loss, want, rtol=1e-5, atol=1e-7)


def test_a_worse_object_has_a_larger_exponent():
    """The exponent is read off: without agr and alpha, loss = (1 - pt)^gamma_a * BCE."""
    targets = jnp.array([[1, 0], [1, 0], [0, 0]])
    logits = jnp.array([[60.0, 0.0], [-60.0, 0.0], [0.0, 0.0]])
    loss = adaptive_focal_loss(logits, targets, alpha=0.0, epsilon=-1.0, agr=False)
    exponent = -np.log2(loss[:, 1] / np.log(2.0))
    np.testing.assert_allclose(exponent, [2.0, 3.0, 3.0], rtol=1e-5)


def frozen(logits, targets, gamma_a, omega):
    """The loss in NumPy and float64, exponent and weight given from outside."""
    wrong_side = np.where(targets, -logits, logits)
    wrong = 1 / (1 + np.exp(-wrong_side))
    first = omega * wrong**gamma_a * np.logaddexp(0.0, wrong_side)
    return np.where(targets, 0.25, 0.75) * (first + wrong ** (gamma_a + 1))


@pytest.mark.parametrize("ada", [True, False])
@pytest.mark.parametrize("agr", [True, False])
def test_no_gradient_flows_through_exponent_and_weight(rng, ada, agr):
    logits = 2 * rng.normal(size=12)
    targets = rng.random(12) < 0.5
    wrong = 1 / (1 + np.exp(-np.where(targets, -logits, logits)))
    gamma_a = 2 + 1 - (1 - wrong)[targets].mean() if ada else 2.0
    omega = 12 / ((1 + 0.4 * gamma_a) * (wrong**gamma_a).sum()) if agr else 1.0
    steps = 1e-5 * np.eye(12)
    up, down = (
        frozen(logits + way * steps, targets, gamma_a, omega).sum(-1) for way in (1, -1)
    )
    with jax.enable_x64(True):

        def total(x):
            options = dict(epsilon=0.25, ada=ada, agr=agr)
            return adaptive_focal_loss(x, jnp.asarray(targets), **options).sum()

        value, gradient = jax.value_and_grad(total)(jnp.asarray(logits))
    want = frozen(logits, targets, gamma_a, omega).sum()
    np.testing.assert_allclose(value, want, rtol=1e-12)
    np.testing.assert_allclose(gradient, (up - down) / 2e-5, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("logit", [30.0, 50.0, 80.0, 200.0])
def test_a_mask_that_is_right_beyond_all_doubt_has_no_loss(logit):
    """All weights are equal: half the cross-entropy over 1 + delta * gamma."""
    targets = jnp.arange(100) % 2

    def total(x):
        return adaptive_focal_loss(x, targets).mean()

    value, gradient = jax.value_and_grad(total)(jnp.where(targets > 0, logit, -logit))
    want = 0.5 * np.exp(-logit) / (1 + 0.4 * 2)
    np.testing.assert_allclose(value, want, rtol=1e-4, atol=1e-37)
    assert jnp.isfinite(gradient).all()


def test_one_wrong_pixel_gets_the_gradient_that_many_right_ones_would_swamp():
    targets = jnp.ones(1000)
    logits = jnp.full(1000, 4.0).at[0].set(-1.0)

    def share(loss):
        size = jnp.abs(jax.grad(lambda x: loss(x, targets).sum())(logits))
        return float(size[0] / size.sum())

    assert share(binary_cross_entropy_loss) < 0.05
    assert share(adaptive_focal_loss) > 0.95
