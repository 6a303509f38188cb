"""Every public loss follows optax.losses: labels, where, axis, traced options."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax import losses

LOSSES = {name: getattr(losses, name) for name in losses.__all__}
KEYWORDS = {name: inspect.signature(loss).parameters for name, loss in LOSSES.items()}
NEEDS_AXIS = [name for name in LOSSES if "axis" in KEYWORDS[name]]


def axis_options(name, axis):
    return {"axis": axis} if name in NEEDS_AXIS else {}


@pytest.fixture
def logits_and_labels(rng):
    logits = jnp.asarray(2 * rng.normal(size=(2, 3, 4)), jnp.float32)
    return logits, jnp.asarray(rng.random((2, 3, 4)) < 0.5)


@pytest.mark.parametrize("name", LOSSES)
def test_arguments_have_the_names_of_optax(name):
    parameters = list(KEYWORDS[name].values())
    assert [parameter.name for parameter in parameters[:3]] == [
        *("logits", "labels", "where")
    ]
    assert all(x.kind is x.KEYWORD_ONLY for x in parameters[2:])
    assert all(x.default is None for x in parameters if x.name.startswith("axis"))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("epsilon", [-1.0, 0.3])
@pytest.mark.parametrize("is_on", [True, False])
def test_every_option_can_be_traced(name, epsilon, is_on, rng):
    """The loss is jitted as it is; nothing is static."""
    logits, labels = jnp.float32(rng.normal(size=7)), jnp.arange(7) % 2
    options = {
        key: 0.75 if parameter.default is None else 0.5 * parameter.default
        for key, parameter in KEYWORDS[name].items()
        if key not in ("logits", "labels", "where", "axis", "axis_name")
    }
    if name == "adaptive_focal_loss":
        options |= dict(epsilon=epsilon, adaptive_gamma=is_on)
        options |= dict(gradient_correction=is_on)
    expected = LOSSES[name](logits, labels, **options)
    loss = jax.jit(LOSSES[name])(logits, labels, **options)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_options_may_be_numpy_scalars(rng):
    logits, labels = jnp.float32(rng.normal(size=7)), jnp.arange(7) % 2
    for options in (dict(epsilon=-1, gamma=1), dict(epsilon=0.25, delta=0.8)):
        expected = losses.adaptive_focal_loss(logits, labels, **options)
        numpy_options = {key: np.float64(value) for key, value in options.items()}
        numpy_options["adaptive_gamma"] = np.bool_(True)
        loss = losses.adaptive_focal_loss(logits, labels, **numpy_options)
        np.testing.assert_array_equal(loss, expected)


@pytest.mark.parametrize("name", NEEDS_AXIS)
def test_axis_has_no_silent_default(name, logits_and_labels):
    with pytest.raises(ValueError, match="logits have 3 axes and axis is not given"):
        LOSSES[name](*logits_and_labels)
    with pytest.raises((ValueError, TypeError), match="axis"):
        jax.jit(LOSSES[name])(*logits_and_labels, axis=-1)
    compiled = jax.jit(LOSSES[name], static_argnames=("axis",))
    loss = compiled(*logits_and_labels, axis=(-2, -1))
    per_example = [
        LOSSES[name](x.ravel(), y.ravel())
        for x, y in zip(*logits_and_labels, strict=True)
    ]
    expected = jnp.stack(per_example).reshape(loss.shape)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(4,), (3, 1), (2, 1, 1)])
def test_where_broadcasts(name, shape, logits_and_labels, rng):
    where = jnp.asarray(rng.random(shape) < 0.5).at[(0,) * len(shape)].set(True)
    options = axis_options(name, (-2, -1))
    loss = LOSSES[name](*logits_and_labels, where=where, **options)
    whole = jnp.broadcast_to(where, (2, 3, 4))
    expected = LOSSES[name](*logits_and_labels, where=whole, **options)
    np.testing.assert_array_equal(loss, expected)


@pytest.mark.parametrize("name", LOSSES)
def test_only_labels_0_and_1_are_taken(name):
    logits = jnp.array([-4.0, 1.0, 4.0, 2.0])
    expected = LOSSES[name](logits, jnp.array([False, False, True, True]))
    for dtype in (np.int32, np.float32):
        labels = np.array([0, 0, 1, 1], dtype)
        np.testing.assert_array_equal(LOSSES[name](logits, labels), expected)
    for wrong in (0.05, -1, 255):
        labels = np.array([0, wrong, 1, 1])
        with pytest.raises(ValueError, match=f"labels hold {wrong} on pixels"):
            LOSSES[name](logits, labels)
        # The same pixel may be left out.
        LOSSES[name](logits, labels, where=labels != wrong)
    soft_loss = jax.jit(LOSSES[name])(logits, jnp.array([0.05, 0.4, 0.6, 0.95]))
    np.testing.assert_allclose(soft_loss, expected, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_at_infinite_logits_is_that_of_large_ones(name):
    """Right and wrong infinite logits, beside ordinary ones."""
    labels = jnp.array([1, 0, 0, 1, 1, 0])
    signs = jnp.array([1.0, -1.0, 1.0, -1.0, 0.0, 0.0])

    @jax.jit
    def gradient_of(large_logit):
        logits = jnp.where(signs == 0, 0.5, signs * large_logit)
        return jax.grad(lambda x: LOSSES[name](x, labels).sum())(logits)

    gradient = gradient_of(jnp.inf)
    assert jnp.isfinite(gradient).all()
    np.testing.assert_allclose(gradient, gradient_of(300.0), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("logit", [jnp.inf, -jnp.inf])
def test_gradient_of_an_example_with_infinite_logits_alone_is_finite(name, logit):
    for labels in (jnp.zeros(4), jnp.ones(4), jnp.arange(4) % 2):
        for where in (None, jnp.arange(4) < 3):
            gradient = jax.grad(
                lambda x, y=labels, w=where: LOSSES[name](x, y, where=w).sum()
            )(jnp.full(4, logit))
            assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize("name", NEEDS_AXIS)
def test_sharded_pixels_are_reduced_together(name, rng):
    """`vmap` with an axis name has the collectives of several devices."""
    logits = jnp.asarray(3 * rng.normal(size=(4, 2, 5)), jnp.float32)
    labels, where = jnp.asarray(rng.random((2, 4, 2, 5)) < 0.6)
    sharded_loss = jax.vmap(
        lambda x, y, w: LOSSES[name](x, y, where=w, axis=-1, axis_name="rows"),
        axis_name="rows",
    )
    separate_loss = jax.vmap(partial(LOSSES[name], axis=-1))

    @jax.jit
    def all_losses(x, y, w):
        whole_loss = LOSSES[name](x, y, where=w, axis=(0, 2))
        return whole_loss, sharded_loss(x, y, w), separate_loss(x, y, where=w)

    expected, loss, separate = all_losses(logits, labels, where)
    # A region loss has one value, which every shard returns.
    loss = loss if loss.shape == expected.shape else loss[0]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert not np.allclose(separate, loss, rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("adaptive_focal_loss", {"epsilon": 1.5}),
        ("adaptive_focal_loss", {"epsilon": float("nan")}),
        ("normalized_focal_loss", {"alpha": -0.5}),
        ("focal_loss", {"alpha": 2}),
    ],
)
def test_class_weights_outside_0_to_1_are_refused(name, option):
    message = f"{next(iter(option))} is .*, expected a weight from 0 to 1"
    with pytest.raises(ValueError, match=message):
        LOSSES[name](jnp.zeros(3), jnp.arange(3) % 2, **option)
