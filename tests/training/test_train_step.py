import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import FrozenConfigDict

from mst_jax.models.build import build
from mst_jax.models.load import TrainedModel
from mst_jax.structs import Clicks, Outputs
from mst_jax.training.optimizer import make_optimizer
from mst_jax.training.train_state import start_state
from mst_jax.training.train_step import make_step, simulate_user
from tests.helpers.small_step import SIDE, SMALL, draw_batch, make_small_step
from tests.models.test_simpleclick import drawn_params


@pytest.fixture(scope="module")
def batch():
    return draw_batch()


@pytest.fixture(scope="module")
def trainer():
    module = build("simpleclick", **SMALL)
    optimizer, schedule = make_optimizer(100, learning_rate=3e-3, decay="none")
    update = make_step(
        module,
        optimizer,
        schedule,
        {"normalized_focal": 1.0},
        max_first=2,
        max_rounds=3,
    )
    update = jax.jit(update, donate_argnums=0)
    params = jax.jit(module.init)(
        jax.random.key(0),
        jnp.zeros((1, SIDE, SIDE, 3)),
        Clicks.empty(1, num_slots=1),
        jnp.zeros((1, SIDE, SIDE)),
    )["params"]

    def start():
        # The update uses its argument's memory again, so each test gets its own.
        return start_state(jax.tree.map(jnp.copy, params), optimizer, jax.random.key(0))

    return update, start


def test_the_loss_of_one_batch_falls_without_compiling_again(trainer, batch):
    update, start = trainer
    state, losses = start(), []
    for _ in range(100):
        state, metrics = update(state, batch)
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-10:]) < 0.65 * np.mean(losses[:5])
    assert float(metrics["iou"]) > 0.8
    assert int(state.step) == 100
    # Rounds are drawn anew in each of the steps; one program serves them all. Programs
    # of other tests may have pushed it out of the cache since.
    assert update._cache_size() <= 1


def test_a_step_is_its_state_and_batch_and_nothing_else(trainer, batch):
    update, start = trainer
    one, first = update(start(), batch)
    two, second = update(start(), batch)
    jax.tree.map(np.testing.assert_array_equal, one.params, two.params)
    np.testing.assert_equal(first, second)
    later, third = update(one, batch)
    assert float(third["loss"]) != float(first["loss"])
    assert (later.key == two.key).all()


def test_the_gradient_is_that_of_the_last_prediction(batch):
    """Plain gradient descent by hand, from the clicks that the user would give."""
    module = build("simpleclick", dropout=0.0, **SMALL)
    optimizer = optax.sgd(1.0)
    update = make_step(
        module,
        optimizer,
        lambda step: 1.0,
        {"normalized_focal": 2.0},
        max_first=2,
        max_rounds=3,
    )
    params = jax.tree.map(lambda leaf: 0.3 * leaf, drawn_params(module))
    image = batch.image.astype(jnp.float32) / 255

    def predict(params, clicks, previous):
        return module.apply({"params": params}, image, clicks, previous).logits

    # The step's own keys: first the user's, then the dropout's.
    user, *_ = jax.random.split(jax.random.fold_in(jax.random.key(0), 0), 3)
    said = jax.jit(
        lambda key: simulate_user(
            key,
            lambda clicks, previous: jax.nn.sigmoid(predict(params, clicks, previous)),
            batch,
            max_first=2,
            max_rounds=3,
            no_click_prob=0.0,
        )
    )(user)

    def loss_of(params):
        x = predict(params, said.clicks, said.prob)
        wrong = jnp.where(batch.target, -x, x)
        fade = jnp.where(batch.valid, jax.nn.sigmoid(wrong) ** 2, 0.0)
        count = batch.valid.sum((1, 2), keepdims=True)
        scale = jax.lax.stop_gradient(count / fade.sum((1, 2), keepdims=True))
        pixels = 0.5 * scale * fade * jax.nn.softplus(wrong)
        return 2.0 * (pixels.sum((1, 2)) / count[:, 0, 0]).mean()

    loss, gradient = jax.jit(jax.value_and_grad(loss_of))(params)
    want = jax.tree.map(lambda p, g: np.asarray(p - g), params, gradient)
    copied = jax.tree.map(jnp.copy, params)
    first = start_state(copied, optimizer, jax.random.key(0))
    state, metrics = jax.jit(update)(first, batch)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(
        metrics["gradient_norm"], optax.global_norm(gradient), rtol=1e-4
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), state.params, want
    )


@pytest.mark.parametrize("num_parts", [1, 2])
def test_a_student_learns_what_its_teacher_says_of_the_same_clicks(batch, num_parts):
    """The step by hand: of the teacher's own pupil nothing is asked, of another its KL."""
    module = build("simpleclick", dropout=0.0, **SMALL)
    params = jax.tree.map(lambda leaf: 0.3 * leaf, drawn_params(module))
    teacher = TrainedModel(params, module, FrozenConfigDict())
    run = make_small_step(module, {"distillation": 2.0}, num_parts, teacher=teacher)
    _, metrics = run(params, batch)
    assert abs(float(metrics["loss"])) < 1e-6 and metrics["gradient_norm"] < 1e-4

    other = jax.tree.map(lambda leaf: 2.0 * leaf, params)
    _, metrics = run(other, batch)
    image = batch.image.astype(jnp.float32) / 255
    user, *_ = jax.random.split(jax.random.fold_in(jax.random.key(2), 0), 3)
    student = jax.jit(TrainedModel(other, module, FrozenConfigDict()).__call__)
    said = simulate_user(
        user,
        lambda clicks, prob: jax.nn.sigmoid(student(image, clicks, prob)),
        batch,
        max_first=2,
        max_rounds=3,
        no_click_prob=0.0,
    )
    x, z = (one(image, said.clicks, said.prob) for one in (student, teacher))
    apart = np.where(batch.valid, jax.nn.sigmoid(z) * (z - x), 0.0)
    apart += np.where(batch.valid, jax.nn.softplus(x) - jax.nn.softplus(z), 0.0)
    want = (apart.sum((1, 2)) / batch.valid.sum((1, 2))).mean()
    assert want > 1e-3
    np.testing.assert_allclose(metrics["distillation"], want, rtol=1e-3)
    np.testing.assert_allclose(metrics["loss"], 2.0 * want, rtol=1e-3)


class TwoDraws(nn.Module):
    """Logits are the difference of what two keys draw in training."""

    @nn.compact
    def __call__(self, image, clicks, previous, *, train=False):
        gain = self.param("gain", nn.initializers.ones, ())
        if not train:
            return Outputs(previous)
        dropout, choice = (
            jax.random.uniform(self.make_rng(name)) for name in ("dropout", "choice")
        )
        return Outputs(previous + gain * (dropout - choice))


def test_dropout_and_choices_have_keys_of_their_own(batch):
    """With one key for both the difference is 0, and nothing is learned."""
    optimizer = optax.sgd(1.0)
    update = make_step(
        TwoDraws(),
        optimizer,
        lambda step: 1.0,
        {"bce": 1.0},
        max_first=1,
        max_rounds=0,
    )
    state = start_state({"gain": jnp.ones(())}, optimizer, jax.random.key(0))
    _, metrics = jax.jit(update)(state, batch)
    assert metrics["gradient_norm"] > 1e-6
