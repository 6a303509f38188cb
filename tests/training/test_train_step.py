"""The training step: it learns, is deterministic, and equals the step by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import FrozenConfigDict

from mst_jax.clicks.encode import click_disk_maps
from mst_jax.models.build import build
from mst_jax.models.load import TrainedModel, parameter_shapes
from mst_jax.structs import Outputs
from mst_jax.training.optimizer import OptimizerOptions, make_optimizer
from mst_jax.training.train_state import init_train_state
from mst_jax.training.train_step import (
    ClickSimulationOptions,
    make_train_step,
    simulate_clicks,
)
from mst_jax.training.training_run import example_inputs
from tests.helpers.random_models import random_params
from tests.helpers.small_step import (
    IMAGE_SIDE,
    SMALL_MODEL,
    make_small_batch,
    make_small_step,
)

CLICKS = ClickSimulationOptions(max_initial=2, max_rounds=3)


@pytest.fixture(scope="module")
def batch():
    return make_small_batch()


def draw_initial_params(module):
    """Draw kernels of unit gain; nothing is compiled, unlike `module.init`."""
    rng = np.random.default_rng(3)

    def draw(path, leaf):
        if path[-1].key != "kernel":
            return np.full(leaf.shape, path[-1].key == "scale", np.float32)
        deviation = np.prod(leaf.shape[:-1]) ** -0.5
        return np.float32(deviation * rng.normal(size=leaf.shape))

    return jax.tree.map_with_path(draw, parameter_shapes(module))


@pytest.fixture(scope="module")
def trainer():
    """The jitted step of a small model, and a function that returns its first state."""
    module = build("simpleclick", **SMALL_MODEL)
    optimizer, schedule = make_optimizer(
        OptimizerOptions(learning_rate=3e-3, schedule="none"), num_steps=100
    )
    train_step = make_train_step(
        module, optimizer, schedule, {"normalized_focal": 1.0}, CLICKS
    )
    params = draw_initial_params(module)

    def init_state():
        # The step reuses the memory of its state, so each test gets its own copy.
        copied_params = jax.tree.map(jnp.array, params)
        return init_train_state(copied_params, optimizer, jax.random.key(0))

    return jax.jit(train_step, donate_argnums=0), init_state


def test_the_loss_of_one_batch_falls_without_compiling_again(trainer, batch):
    train_step, init_state = trainer
    state, losses = init_state(), []
    for _ in range(100):
        state, metrics = train_step(state, batch)
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-10:]) < 0.65 * np.mean(losses[:5])
    assert float(metrics["iou"]) > 0.8
    assert int(state.step) == 100
    # The number of rounds differs from step to step; one program runs them all.
    # Programs of other tests may have pushed it out of the cache since.
    assert train_step._cache_size() <= 1


def test_a_step_depends_on_its_state_and_batch_only(trainer, batch):
    train_step, init_state = trainer
    first_state, first_metrics = train_step(init_state(), batch)
    same_state, same_metrics = train_step(init_state(), batch)
    jax.tree.map(np.testing.assert_array_equal, first_state.params, same_state.params)
    np.testing.assert_equal(first_metrics, same_metrics)
    next_state, next_metrics = train_step(first_state, batch)
    assert float(next_metrics["loss"]) != float(first_metrics["loss"])
    assert (next_state.key == same_state.key).all()


class TwoConvolutions(nn.Module):
    """Two convolutions of the image, the click disks and the previous mask."""

    @nn.compact
    def __call__(self, image, clicks, prev_mask, *, train=False):
        disks = jax.vmap(lambda c: click_disk_maps(c, *prev_mask.shape[1:]))(clicks)
        hidden = jnp.concatenate([image, disks, prev_mask[..., None]], axis=-1)
        hidden = nn.tanh(nn.Conv(4, (3, 3))(hidden))
        return Outputs(nn.Conv(1, (3, 3))(hidden)[..., 0])


def simulate_step_clicks(predict_prob, batch, seed):
    """Simulate the clicks of the first step of a run with this seed."""
    step_key = jax.random.fold_in(jax.random.key(seed), 0)
    # The keys of the step: first the user's, then that of dropout.
    user_key, *_ = jax.random.split(step_key, 3)
    return simulate_clicks(user_key, predict_prob, batch, CLICKS)


def test_the_gradient_is_that_of_the_last_prediction(batch):
    """Plain gradient descent by hand, from the clicks of the simulated user."""
    module = TwoConvolutions()
    optimizer = optax.sgd(1.0)
    train_step = make_train_step(
        module, optimizer, lambda step: 1.0, {"normalized_focal": 2.0}, CLICKS
    )
    variables = jax.jit(module.init)(jax.random.key(1), *example_inputs(IMAGE_SIDE))
    params = variables["params"]
    image = batch.image.astype(jnp.float32) / 255

    def predict_logits(params, clicks, prev_mask):
        return module.apply({"params": params}, image, clicks, prev_mask).logits

    def predict_prob(clicks, prev_mask):
        return jax.nn.sigmoid(predict_logits(params, clicks, prev_mask))

    result = jax.jit(lambda: simulate_step_clicks(predict_prob, batch, seed=0))()

    def loss_of(params):
        logits = predict_logits(params, result.clicks, result.prob)
        neg_margin = jnp.where(batch.target, -logits, logits)
        focal_weight = jnp.where(batch.valid, jax.nn.sigmoid(neg_margin) ** 2, 0.0)
        count = batch.valid.sum((1, 2), keepdims=True)
        scale = count / focal_weight.sum((1, 2), keepdims=True)
        weight = jax.lax.stop_gradient(scale) * focal_weight
        pixels = 0.5 * weight * jax.nn.softplus(neg_margin)
        return 2.0 * (pixels.sum((1, 2)) / count[:, 0, 0]).mean()

    loss, gradient = jax.jit(jax.value_and_grad(loss_of))(params)
    expected = jax.tree.map(lambda p, g: np.asarray(p - g), params, gradient)
    copied_params = jax.tree.map(jnp.copy, params)
    state = init_train_state(copied_params, optimizer, jax.random.key(0))
    state, metrics = jax.jit(train_step)(state, batch)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(
        metrics["gradient_norm"], optax.global_norm(gradient), rtol=1e-4
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        state.params,
        expected,
    )


@pytest.mark.parametrize(
    "grad_accum_steps", [pytest.param(1, marks=pytest.mark.slow), 2]
)
def test_a_student_learns_the_teacher_logits_of_the_same_clicks(
    batch, grad_accum_steps
):
    """The step by hand: an equal student has no loss, another one its KL divergence."""
    module = build("simpleclick", dropout=0.0, **SMALL_MODEL)
    params = jax.tree.map(lambda leaf: 0.3 * leaf, random_params(module))
    teacher = TrainedModel(params, module, FrozenConfigDict())
    run_step = make_small_step(
        module, {"distillation": 2.0}, grad_accum_steps, teacher=teacher
    )
    _, metrics = run_step(params, batch)
    assert abs(float(metrics["loss"])) < 1e-6 and metrics["gradient_norm"] < 1e-4

    student_params = jax.tree.map(lambda leaf: 2.0 * leaf, params)
    _, metrics = run_step(student_params, batch)

    @jax.jit
    def predict_both(student, teacher):
        image = batch.image.astype(jnp.float32) / 255

        def predict_prob(clicks, prev_mask):
            return jax.nn.sigmoid(student(image, clicks, prev_mask))

        result = simulate_step_clicks(predict_prob, batch, seed=2)
        inputs = (image, result.clicks, result.prob)
        return student(*inputs), teacher(*inputs)

    student = TrainedModel(student_params, module, FrozenConfigDict())
    x, z = map(np.asarray, predict_both(student, teacher))
    divergence = (z - x) / (1 + np.exp(-z)) + np.logaddexp(0, x) - np.logaddexp(0, z)
    divergence = np.where(batch.valid, divergence, 0.0)
    expected = (divergence.sum((1, 2)) / np.sum(batch.valid, (1, 2))).mean()
    assert expected > 1e-3
    np.testing.assert_allclose(metrics["distillation"], expected, rtol=1e-3)
    np.testing.assert_allclose(metrics["loss"], 2.0 * expected, rtol=1e-3)


class TwoRandomNumbers(nn.Module):
    """Logits are the difference of random numbers of two keys of the step."""

    @nn.compact
    def __call__(self, image, clicks, prev_mask, *, train=False):
        gain = self.param("gain", nn.initializers.ones, ())
        if not train:
            return Outputs(prev_mask)
        dropout, token_selection = (
            jax.random.uniform(self.make_rng(name))
            for name in ("dropout", "token_selection")
        )
        return Outputs(prev_mask + gain * (dropout - token_selection))


def test_dropout_and_token_selection_have_their_own_keys(batch):
    """With one key for both the difference is 0, and nothing is learned."""
    optimizer = optax.sgd(1.0)
    train_step = make_train_step(
        TwoRandomNumbers(),
        optimizer,
        lambda step: 1.0,
        {"bce": 1.0},
        ClickSimulationOptions(max_initial=1, max_rounds=0),
    )
    state = init_train_state({"gain": jnp.ones(())}, optimizer, jax.random.key(0))
    _, metrics = jax.jit(train_step)(state, batch)
    assert metrics["gradient_norm"] > 1e-6
