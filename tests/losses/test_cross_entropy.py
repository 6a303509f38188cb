"""Cross-entropies by hand, and the distillation loss against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, rel_entr

from mst_jax.losses import (
    balanced_cross_entropy_loss,
    binary_cross_entropy_loss,
    cross_entropy,
    weighted_cross_entropy_loss,
)

distillation_loss = jax.jit(cross_entropy.distillation_loss)

# The true class has probability 1/2, 1/4, 3/4, 1/4; one object pixel.
LOGITS = np.log([1.0, 3.0, 1 / 3, 3.0]).astype(np.float32)
LABELS = np.array([1, 0, 0, 0])
EXPECTED = np.log([2.0, 4.0, 4 / 3, 4.0])


def loss_values(loss_fn, where=None, **options):
    where = None if where is None else jnp.asarray(where)
    return loss_fn(jnp.asarray(LOGITS), jnp.asarray(LABELS), where=where, **options)


def test_four_pixels_match_hand_computation():
    np.testing.assert_allclose(
        loss_values(binary_cross_entropy_loss), EXPECTED, rtol=1e-6
    )


def test_object_weight_multiplies_labels_1():
    loss = loss_values(weighted_cross_entropy_loss, object_weight=3.0)
    np.testing.assert_allclose(loss, [3, 1, 1, 1] * EXPECTED, rtol=1e-6)


def test_balanced_weight_is_the_fraction_of_the_other_class():
    loss = loss_values(balanced_cross_entropy_loss)
    np.testing.assert_allclose(loss, [3 / 4, 1 / 4, 1 / 4, 1 / 4] * EXPECTED, rtol=1e-6)


def test_ignored_pixels_do_not_enter_the_balance():
    loss = loss_values(balanced_cross_entropy_loss, where=[True, True, True, False])
    np.testing.assert_allclose(loss, [2 / 3, 1 / 3, 1 / 3, 0] * EXPECTED, rtol=1e-6)


def test_balanced_loss_of_a_single_class_is_0():
    for labels in (jnp.zeros(4, bool), jnp.ones(4, bool)):
        loss = balanced_cross_entropy_loss(jnp.asarray(LOGITS), labels)
        np.testing.assert_array_equal(loss, np.zeros(4))


def test_distillation_is_the_kl_divergence_of_two_classes(rng):
    student, teacher = 3.0 * rng.normal(size=(2, 50))
    teacher_prob, student_prob = expit(teacher), expit(student)
    expected = rel_entr(teacher_prob, student_prob)
    expected += rel_entr(1 - teacher_prob, 1 - student_prob)
    loss = distillation_loss(jnp.float32(student), jnp.float32(teacher))
    np.testing.assert_allclose(loss, expected, rtol=2e-4, atol=1e-6)


def test_distillation_of_two_pixels_matches_hand_computation():
    """Teacher 3/4, student 1/2: 3/4 log 3/2 + 1/4 log 1/2; and both the same."""
    teacher_logits = jnp.log(jnp.array([3.0, 3.0]))
    loss = distillation_loss(jnp.array([0.0, teacher_logits[1]]), teacher_logits)
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    np.testing.assert_allclose(loss, [expected, 0.0], atol=1e-6)


def test_distillation_gradient_is_the_difference_of_probabilities(rng):
    student, teacher = jnp.float32(4.0 * rng.normal(size=(2, 30)))

    def total_loss(student, teacher):
        return distillation_loss(student, teacher).sum()

    student_gradient, teacher_gradient = jax.grad(total_loss, argnums=(0, 1))(
        student, teacher
    )
    np.testing.assert_allclose(
        student_gradient, jax.nn.sigmoid(student) - jax.nn.sigmoid(teacher), atol=1e-6
    )
    np.testing.assert_array_equal(teacher_gradient, np.zeros(30))


def test_distillation_of_saturated_logits_is_finite():
    """A teacher of the other class costs the student's logit; of the same class, 0."""
    loss = distillation_loss(jnp.array([200.0, 200.0]), jnp.array([-200.0, 200.0]))
    np.testing.assert_allclose(loss, [200.0, 0.0])


@pytest.mark.parametrize("teacher", [-jnp.inf, 0.0, jnp.inf])
@pytest.mark.parametrize("student", [-jnp.inf, 0.0, jnp.inf])
def test_distillation_gradient_at_infinite_logits_is_finite(student, teacher):
    def total_loss(x):
        return distillation_loss(x, jnp.array([teacher])).sum()

    gradient = jax.grad(total_loss)(jnp.array([student]))
    np.testing.assert_allclose(gradient, [expit(student) - expit(teacher)], atol=1e-6)


def test_distillation_ignores_what_ignored_pixels_hold():
    where = jnp.array([True, False, False])
    student, teacher = jnp.array([1.0, jnp.nan, 2.0]), jnp.array([0.0, 1.0, jnp.inf])

    def total_loss(student):
        return distillation_loss(student, teacher, where=where).sum()

    value, gradient = jax.value_and_grad(total_loss)(student)
    np.testing.assert_allclose(value, distillation_loss(student[:1], teacher[:1]).sum())
    np.testing.assert_array_equal(gradient[1:], [0, 0])


def test_distillation_raises_half_precision():
    student, teacher = jnp.array([1.0, -2.0]), jnp.array([0.5, 0.25])
    loss = distillation_loss(student.astype(jnp.bfloat16), teacher.astype(jnp.bfloat16))
    assert loss.dtype == jnp.float32
    np.testing.assert_array_equal(loss, distillation_loss(student, teacher))


def test_distillation_rejects_other_shapes():
    with pytest.raises((ValueError, TypeError), match="teacher_logits"):
        distillation_loss(jnp.zeros(2), jnp.zeros(3))
