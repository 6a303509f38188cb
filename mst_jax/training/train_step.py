"""One update: clicks without gradient, then loss, gradient, update; all on the device."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from mst_jax.clicks.initial_clicks import first_clicks
from mst_jax.clicks.next_click import training_click
from mst_jax.collectives import split_key, total
from mst_jax.interaction.rollout import rollout, start_rollout
from mst_jax.losses.total_loss import Losses
from mst_jax.structs import EMPTY, Batch, Clicks, Outputs, Rollout, TrainState
from mst_jax.training.gradients import loss_and_gradient
from mst_jax.training.microbatch import map_parts
from mst_jax.training.train_state import move_average

Metrics = dict[str, Float[Array, ""]]
StepFunction = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def simulate_user(
    key: PRNGKeyArray,
    predict: Callable[[Clicks, Float[Array, "b h w"]], Float[Array, "b h w"]],
    batch: Batch,
    *,
    max_first: int,
    max_rounds: int,
    no_click_prob: float,
) -> Rollout:
    """Lets a simulated user click: first clicks, then 0 to `max_rounds` corrections.

    The number of rounds is drawn once for the batch, so that no example waits. Now and
    then a batch has no first click, but one round at least, in which the user makes it.

    Args:
        key: random key, used here only.
        predict: clicks and previous probability -> probability; no gradient is wanted.
        batch: the examples.
        max_first: most first clicks of either kind.
        max_rounds: most corrections.
        no_click_prob: chance that the batch has no first click.

    Returns:
        The clicks so far and the last probability (zeros if there was no round).
    """
    first_key, rounds_key, user_key, none_key = jax.random.split(key, 4)
    num_examples = batch.target.shape[0]
    num_slots = 2 * max_first + max_rounds
    first = partial(first_clicks, num_slots=num_slots, max_each=max_first)
    keys = split_key(first_key, num_examples)
    clicks = jax.vmap(first)(keys, batch.target, batch.others, batch.valid)
    num_rounds = jax.random.randint(rounds_key, (), 0, max_rounds + 1)
    if max_rounds:
        none = jax.random.bernoulli(none_key, no_click_prob)
        clicks = Clicks(clicks.yx, jnp.where(none, EMPTY, clicks.label))
        num_rounds = jnp.maximum(num_rounds, none)

    def ask(clicks, prob, region):
        return predict(clicks, prob), region

    def answer(prob, clicks, number):
        keys = split_key(jax.random.fold_in(user_key, number), num_examples)
        click = jax.vmap(training_click)
        return clicks.append(*click(keys, prob, batch.target, batch.valid, clicks))

    start = start_rollout(clicks, *batch.target.shape[1:], max_rounds=max_rounds)
    return rollout(ask, answer, start, batch.target, batch.valid, num_rounds=num_rounds)


def make_step(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    losses: Losses,
    accumulate: int = 1,
    average: float = 0.0,
    frozen: Sequence[str] = (),
    *,
    max_first: int = 24,
    max_rounds: int = 3,
    no_click_prob: float = 0.0,
) -> StepFunction:
    """Builds the update of a run; to be compiled, see `sharding.spread`.

    Source of the loop: Sofiiuk et al., Reviving Iterative Training with Mask Guidance,
    ICIP 2022, Section 3.4.

    Args:
        module: a ClickModel.
        optimizer: optax's.
        schedule: step -> learning rate, for the log.
        losses: name -> weight, or weight and options; see `losses.total_loss`.
        accumulate: the batch goes through the network in so many parts, one after the
            other; the update is that of the whole batch, see `loss_and_gradient`. Only
            what training draws inside the model, dropout and noisy choices, is drawn
            otherwise.
        average: how much of the parameters' average a step keeps; 0: none is kept.
        frozen: path rules of the parameters that have no gradient.
        max_first: most first clicks of either kind.
        max_rounds: most corrections before the loss.
        no_click_prob: chance that a batch begins without a click and gets its first one
            from a correction; MST has 0.01.

    Returns:
        (state, batch) -> (state, metrics of this step). Under `jax.pmap` over
        `whole_batch.EXAMPLES` the batch is a share of the whole, and the update that of
        the whole.

    Raises:
        ValueError: fewer than 1 first click or 0 corrections, or no probability.
    """
    if max_first < 1 or max_rounds < 0:
        raise ValueError(
            f"config.clicks has max_first {max_first} and max_rounds {max_rounds}, "
            "expected 1 or more and 0 or more"
        )
    if not 0 <= no_click_prob <= 1 or (no_click_prob and not max_rounds):
        raise ValueError(
            f"config.clicks has no_click_prob {no_click_prob} and max_rounds "
            f"{max_rounds}, expected 0 to 1, and a round in which the click is made"
        )

    def update(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        user_key, dropout_key, choice_key = jax.random.split(key, 3)
        image = batch.image.astype(jnp.float32) / 255.0

        def predict(clicks: Clicks, previous: Array) -> Array:
            return map_parts(predict_part, accumulate, image, clicks, previous)

        def predict_part(*given: object) -> Array:
            outputs = module.apply({"params": state.params}, *given)
            return jax.nn.sigmoid(outputs.logits)

        said = simulate_user(
            user_key,
            predict,
            batch,
            max_first=max_first,
            max_rounds=max_rounds,
            no_click_prob=no_click_prob,
        )

        if state.teacher:
            taught = map_parts(state.teacher, accumulate, image, said.clicks, said.prob)
            batch = replace(batch, taught=taught)

        def look(params: dict, number: Array, *given: object) -> Outputs:
            keys = {"dropout": dropout_key, "choice": choice_key}
            if accumulate > 1:
                keys = {name: jax.random.fold_in(keys[name], number) for name in keys}
            return module.apply({"params": params}, *given, train=True, rngs=keys)

        (loss, parts), gradient = loss_and_gradient(
            look,
            state.params,
            batch,
            (image, said.clicks, said.prob),
            losses=losses,
            num_parts=accumulate,
            frozen=frozen,
        )
        change, optimizer_state = optimizer.update(
            gradient, state.optimizer, state.params
        )
        params = optax.apply_updates(state.params, change)
        metrics = {
            "loss": loss,
            **parts,
            **_by_round(said),
            "learning_rate": jnp.asarray(schedule(state.step), jnp.float32),
            "gradient_norm": optax.global_norm(gradient),
            "parameter_norm": optax.global_norm(params),
        }
        after = TrainState(
            step=state.step + 1,
            params=params,
            optimizer=optimizer_state,
            key=state.key,
            average=move_average(state.average, params, state.step, keep=average),
            teacher=state.teacher,
        )
        return after, metrics

    return update


def _by_round(said: Rollout) -> Metrics:
    """IoU after each round that was played, before the user's correction; else nan."""
    played = said.num_rounds[:, None] > jnp.arange(said.ious.shape[1])[None]
    ious = jnp.where(played, said.ious, 0.0)
    ious, played = total((ious.sum(0), played.sum(0)))
    return {f"iou_round{number}": mean for number, mean in enumerate(ious / played, 1)}
