"""One update: clicks without gradient, then loss, gradient, update; all on the device."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from mst_jax.clicks.first_clicks import first_clicks
from mst_jax.clicks.next_click import training_click
from mst_jax.geometry.overlap import iou
from mst_jax.interaction.rollout import rollout, start_rollout
from mst_jax.losses.total import Losses, total_loss
from mst_jax.structs import EMPTY, Batch, Clicks, Rollout, TrainState

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
    keys = jax.random.split(first_key, num_examples)
    clicks = jax.vmap(first)(keys, batch.target, batch.others, batch.valid)
    num_rounds = jax.random.randint(rounds_key, (), 0, max_rounds + 1)
    if max_rounds:
        none = jax.random.bernoulli(none_key, no_click_prob)
        clicks = Clicks(clicks.yx, jnp.where(none, EMPTY, clicks.label))
        num_rounds = jnp.maximum(num_rounds, none)

    def ask(clicks, prob, region):
        return predict(clicks, prob), region

    def answer(prob, clicks, number):
        keys = jax.random.split(jax.random.fold_in(user_key, number), num_examples)
        click = jax.vmap(training_click)
        return clicks.append(*click(keys, prob, batch.target, batch.valid, clicks))

    start = start_rollout(clicks, *batch.target.shape[1:], max_rounds=max_rounds)
    return rollout(ask, answer, start, batch.target, batch.valid, num_rounds=num_rounds)


def make_step(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    losses: Losses,
    *,
    max_first: int = 24,
    max_rounds: int = 3,
    no_click_prob: float = 0.0,
) -> StepFunction:
    """Builds the jitted update of a run.

    Source of the loop: Sofiiuk et al., Reviving Iterative Training with Mask Guidance,
    ICIP 2022, Section 3.4.

    Args:
        module: a ClickModel.
        optimizer: optax's.
        schedule: step -> learning rate, for the log.
        losses: name -> weight, or weight and options; see `losses.total`.
        max_first: most first clicks of either kind.
        max_rounds: most corrections before the loss.
        no_click_prob: chance that a batch begins without a click and gets its first one
            from a correction; MST has 0.01.

    Returns:
        (state, batch) -> (state, metrics of this step). The given state's memory is
        used again: do not touch it afterwards.

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
            outputs = module.apply({"params": state.params}, image, clicks, previous)
            return jax.nn.sigmoid(outputs.logits)

        said = simulate_user(
            user_key,
            predict,
            batch,
            max_first=max_first,
            max_rounds=max_rounds,
            no_click_prob=no_click_prob,
        )

        def loss_of(params: dict) -> tuple[Array, tuple]:
            outputs = module.apply(
                {"params": params},
                image,
                said.clicks,
                said.prob,
                train=True,
                rngs={"dropout": dropout_key, "choice": choice_key},
            )
            loss, parts = total_loss(outputs, batch, losses=losses)
            return loss, (parts, outputs.logits)

        gradient_of = jax.value_and_grad(loss_of, has_aux=True)
        (loss, (parts, logits)), gradient = gradient_of(state.params)
        change, optimizer_state = optimizer.update(
            gradient, state.optimizer, state.params
        )
        params = optax.apply_updates(state.params, change)
        found = jax.vmap(iou)(logits > 0, batch.target, batch.valid)
        metrics = {
            "loss": loss,
            **parts,
            "iou": found.mean(),
            "learning_rate": jnp.asarray(schedule(state.step), jnp.float32),
            "gradient_norm": optax.global_norm(gradient),
            "parameter_norm": optax.global_norm(params),
        }
        after = TrainState(
            step=state.step + 1,
            params=params,
            optimizer=optimizer_state,
            key=state.key,
        )
        return after, metrics

    return jax.jit(update, donate_argnums=0)
