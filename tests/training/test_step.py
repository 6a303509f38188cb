from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import FrozenConfigDict

from mst_jax.clicks.encode import disk_maps
from mst_jax.models.build import build
from mst_jax.models.load import TrainedModel
from mst_jax.structs import Batch, Clicks, Outputs
from mst_jax.training.optimizer import make_optimizer
from mst_jax.training.state import start_state
from mst_jax.training.step import make_step, simulate_user
from tests.models.test_simpleclick import drawn_params
from tests.models.tiny_recipes import TINY, recipe_losses, tiny_batch

SIDE = 32
SMALL = dict(
    size="tiny", crop=SIDE, patch=8, width=16, depth=2, num_heads=2, head=8
) | dict(pyramid=(8, 8, 8, 8), window=0)


@pytest.fixture(scope="module")
def batch():
    """Two pictures: a bright square on the left, a bright bar at the bottom."""
    target = np.zeros((2, SIDE, SIDE), bool)
    target[0, 6:20, 4:18] = True
    target[1, 22:30, 2:30] = True
    image = np.where(target[..., None], 220, 40).astype(np.uint8).repeat(3, axis=-1)
    valid = np.ones_like(target)
    valid[:, 0] = False
    return Batch(
        image=jnp.asarray(image),
        target=jnp.asarray(target),
        valid=jnp.asarray(valid),
        others=jnp.zeros(target.shape, bool),
    )


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


def disk_predictor(clicks, previous):
    """Believes in a disk around each positive click, and remembers being asked."""
    rows = jnp.arange(SIDE)[:, None, None]
    columns = jnp.arange(SIDE)[None, :, None]

    def one(clicks, previous):
        yx = clicks.yx[None, None]
        squared = (rows - yx[..., 0]) ** 2 + (columns - yx[..., 1]) ** 2
        near = ((squared <= 16) & clicks.is_positive[None, None]).any(-1)
        return jnp.maximum(previous, near.astype(jnp.float32))

    return jax.vmap(one)(clicks, previous)


def test_a_batch_may_begin_without_a_click(batch):
    """Each example then has exactly one positive click for each round, one at least."""

    def say(prob, key):
        said = simulate_user(
            key,
            disk_predictor,
            batch,
            max_first=2,
            max_rounds=2,
            no_click_prob=prob,
        )
        return said.clicks.num_clicks, said.num_rounds, said.clicks.label[:, 0]

    keys = jax.random.split(jax.random.key(0), 100)
    num_clicks, num_rounds, first = jax.jit(jax.vmap(partial(say, 1.0)))(keys[:12])
    np.testing.assert_array_equal(num_clicks, num_rounds)
    np.testing.assert_array_equal(first, np.ones((12, 2)))
    assert set(np.asarray(num_rounds).ravel()) == {1, 2}
    num_clicks, num_rounds, _ = jax.jit(jax.vmap(partial(say, 0.25)))(keys)
    assert 12 < (num_clicks == num_rounds).all(1).sum() < 40


def test_the_user_clicks_nought_to_three_times_more(batch):
    said = jax.jit(
        lambda key: simulate_user(
            key,
            disk_predictor,
            batch,
            max_first=2,
            max_rounds=3,
            no_click_prob=0.0,
        )
    )
    rounds = set()
    for seed in range(24):
        result = said(jax.random.key(seed))
        num = np.asarray(result.num_rounds)
        assert num[0] == num[1]
        rounds.add(int(num[0]))
        first = np.asarray(result.clicks.num_clicks) - num
        assert ((first >= 1) & (first <= 4)).all()
        for clicks, target in zip(
            zip(result.clicks.yx, result.clicks.label, strict=True),
            np.asarray(batch.target),
            strict=True,
        ):
            yx, label = (np.asarray(part) for part in clicks)
            for (row, column), kind in zip(yx.astype(int), label, strict=True):
                if kind >= 0:
                    assert target[row, column] == bool(kind)
        if num[0] == 0:
            assert float(result.prob.max()) == 0.0
        else:
            assert float(result.prob.max()) == 1.0
    assert rounds == {0, 1, 2, 3}


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


class Threshold(nn.Module):
    """Believes in bright pixels near what was clicked; learns how bright and how near."""

    @nn.compact
    def __call__(self, image, clicks, previous, *, train=False):
        gain = self.param("gain", nn.initializers.ones, (2,))
        disks = jax.vmap(lambda one: disk_maps(one, *previous.shape[1:]))(clicks)
        bright = gain[0] * (image.mean(-1) - 0.4)
        return Outputs(10.0 * bright + gain[1] * (disks[..., 0] - disks[..., 1]))


def make_small_step(module, losses, num_parts=1, *, teacher=()):
    optimizer = optax.sgd(0.1)
    update = make_step(
        module, optimizer, lambda _: 0.1, losses, num_parts, 0.9, max_first=2
    )
    update = jax.jit(update, donate_argnums=0)

    def run(params, batch, *, seed=2):
        own = jax.tree.map(jnp.copy, params)
        key = jax.random.key(seed)
        kept = jax.tree.map(jnp.copy, teacher)
        first = start_state(own, optimizer, key, averages=True, teacher=kept)
        return update(first, batch)

    return run


def check_same(params, module, losses, batch):
    (whole, at_once), (parts, in_parts) = (
        make_small_step(module, losses, num_parts)(params, batch)
        for num_parts in (1, 2)
    )
    for name, value in at_once.items():
        np.testing.assert_allclose(in_parts[name], value, rtol=2e-5, err_msg=name)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), whole.params, params)
    assert max(jax.tree.leaves(moved)) > 1e-3
    for one, other in ((parts, whole), (parts.average, whole.average)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
            getattr(one, "params", one),
            getattr(other, "params", other),
        )
    return whole


def test_a_batch_in_parts_is_the_same_step():
    params = {"gain": jnp.ones(2)}
    losses = {"normalized_focal": 1.0, "dice": 0.5}
    after = check_same(params, Threshold(), losses, tiny_batch(4, side=16))
    # A tenth of the old at the first step.
    want = 0.1 * params["gain"] + 0.9 * after.params["gain"]
    np.testing.assert_allclose(after.average["gain"], want, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_a_batch_in_parts_is_the_same_step_of_every_recipe(name):
    module = build(name, **TINY[name])
    params = jax.tree.map(lambda leaf: 0.2 * leaf, drawn_params(module))
    check_same(params, module, recipe_losses(name), tiny_batch(4))


def test_overlaps_are_told_by_the_round():
    """As many overlaps as rounds were played, then none."""
    run, told = make_small_step(Threshold(), {"bce": 1.0}), set()
    for seed in range(12):
        _, metrics = run({"gain": jnp.ones(2)}, tiny_batch(4, side=16), seed=seed)
        found = [float(metrics[f"iou_round{number}"]) for number in (1, 2, 3)]
        num = int(np.isfinite(found).sum())
        assert all(0.3 < one < 1 for one in found[:num])
        assert np.isnan(found[num:]).all()
        told.add(num)
    assert told == {0, 1, 2, 3}
