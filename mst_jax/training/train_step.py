"""Assemble one training step: simulate clicks, then loss, gradient and update."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mst_jax.clicks.initial_clicks import sample_initial_clicks
from mst_jax.clicks.next_click import training_click
from mst_jax.collectives import split_key_per_example, sum_over_shards
from mst_jax.interaction.rollout import rollout, start_rollout
from mst_jax.losses.total_loss import LossConfig
from mst_jax.structs import EMPTY, Batch, Clicks, Outputs, Rollout
from mst_jax.training.gradient_accumulation import loss_and_gradient, map_microbatches
from mst_jax.training.train_state import TrainState, update_ema

Metrics = dict[str, Float[Array, ""]]
TrainStepFn = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


@dataclasses.dataclass(frozen=True)
class ClickSimulationOptions:
    """Options of the simulated clicks in training, block `clicks` of a config.

    Attributes:
        max_initial: Maximum number of initial clicks of each label.
        max_rounds: Maximum number of corrective clicks before the loss.
        no_click_prob: Probability that a batch begins without a click and gets its
            first click from a correction; MST has 0.01.
    """

    max_initial: int = 24
    max_rounds: int = 3
    no_click_prob: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.max_initial < 1:
            raise ValueError(f"max_initial is {self.max_initial}, expected 1 or more")
        if self.max_rounds < 0:
            raise ValueError(f"max_rounds is {self.max_rounds}, expected 0 or more")
        needs_round = self.no_click_prob and not self.max_rounds
        if not 0 <= self.no_click_prob <= 1 or needs_round:
            raise ValueError(
                f"no_click_prob is {self.no_click_prob} and max_rounds "
                f"{self.max_rounds}; expected 0 to 1, and above 0 it needs max_rounds "
                "of 1 or more"
            )

    @property
    def num_slots(self) -> int:
        """Number of click slots that an example can fill."""
        return 2 * self.max_initial + self.max_rounds


def simulate_clicks(
    key: PRNGKeyArray,
    predict: Callable[[Clicks, Float[Array, "b h w"]], Float[Array, "b h w"]],
    batch: Batch,
    options: ClickSimulationOptions,
) -> Rollout:
    """Simulate a user: initial clicks, then 0 to `max_rounds` corrections.

    The number of rounds is drawn once for the batch, so that all examples run equally
    many rounds. With probability `no_click_prob` a batch has no initial click, but at
    least one round, in which the user makes the first click.

    Args:
        key: PRNG key, not reused elsewhere.
        predict: Function of clicks and previous probability that returns the
            probability; it is not differentiated.
        batch: [b] examples.
        options: Options of the simulation.

    Returns:
        The clicks and the last probability, which is zero if there was no round.
    """
    initial_key, rounds_key, user_key, no_click_key = jax.random.split(key, 4)
    num_examples = batch.target.shape[0]

    # 1. Initial clicks of each example.
    sample_initial = partial(
        sample_initial_clicks,
        num_slots=options.num_slots,
        max_per_label=options.max_initial,
    )
    keys = split_key_per_example(initial_key, num_examples)
    clicks = jax.vmap(sample_initial)(keys, batch.target, batch.others, batch.valid)

    height, width = batch.target.shape[1:]
    start = partial(
        start_rollout, height=height, width=width, max_rounds=options.max_rounds
    )
    if not options.max_rounds:
        # A loop of no round would be compiled, with its forward pass.
        return start(clicks)

    # 2. The number of rounds of the batch, and whether it begins without a click.
    num_rounds = jax.random.randint(rounds_key, (), 0, options.max_rounds + 1)
    no_click = jax.random.bernoulli(no_click_key, options.no_click_prob)
    clicks = Clicks(clicks.yx, jnp.where(no_click, EMPTY, clicks.label))
    num_rounds = jnp.maximum(num_rounds, no_click)

    # 3. The rounds: predict, then click on the largest error.
    def predict_round(clicks: Clicks, prob: Array, roi: Array) -> tuple[Array, Array]:
        return predict(clicks, prob), roi

    def add_click(prob: Array, clicks: Clicks, round_index: Array) -> Clicks:
        round_key = jax.random.fold_in(user_key, round_index)
        keys = split_key_per_example(round_key, num_examples)
        click_batch = jax.vmap(training_click)
        return clicks.append(
            *click_batch(keys, prob, batch.target, batch.valid, clicks)
        )

    return rollout(
        predict_round,
        add_click,
        start(clicks),
        batch.target,
        batch.valid,
        num_rounds=num_rounds,
    )


def make_train_step(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    loss_config: LossConfig,
    click_options: ClickSimulationOptions,
    *,
    grad_accum_steps: int = 1,
    ema_decay: float = 0.0,
    frozen: Sequence[str] = (),
) -> TrainStepFn:
    """Assemble the training step of a run.

    `training_run.compile_step` compiles it.

    Source of the loop: Sofiiuk et al., Reviving Iterative Training with Mask Guidance,
    ICIP 2022, Section 3.4.

    Args:
        module: Model to train.
        optimizer: Optax optimizer that updates the parameters.
        schedule: Function that returns the learning rate of a step, for the log.
        loss_config: Weight, or weight and options, of each loss by its name; see
            `losses.total_loss`.
        click_options: Options of the simulated clicks.
        grad_accum_steps: Number of microbatches that go through the network one after
            the other. The update is that of the whole batch, see `loss_and_gradient`;
            only the random numbers inside the model (dropout, noisy token selection)
            differ.
        ema_decay: Weight of the old value in the moving average of the parameters; it
            is used only if the state has an average.
        frozen: Patterns of the paths of parameters that have no gradient.

    Returns:
        Function (state, batch) -> (state, metrics of this step). Under `jax.pmap` over
        `collectives.BATCH_AXIS` the batch is a device's share of the global batch, and
        the update that of the global batch.
    """

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        # The step is folded into the key: a resumed run draws the same numbers.
        key = jax.random.fold_in(state.key, state.step)
        user_key, dropout_key, selection_key = jax.random.split(key, 3)
        image = batch.image.astype(jnp.float32) / 255.0

        # 1. Simulated clicks, without gradient and without dropout.
        predict = partial(_predict_prob, module, state.params, image, grad_accum_steps)
        click_rollout = simulate_clicks(user_key, predict, batch, click_options)
        inputs = (image, click_rollout.clicks, click_rollout.prob)

        # 2. The teacher's logits for the same clicks.
        if state.teacher is not None:
            teacher_logits = map_microbatches(state.teacher, grad_accum_steps, *inputs)
            batch = dataclasses.replace(batch, teacher_logits=teacher_logits)

        # 3. Loss and gradient of one more forward pass.
        def forward(params: Any, index: Int[Array, ""], *inputs: Any) -> Outputs:
            keys = {"dropout": dropout_key, "token_selection": selection_key}
            # Microbatches must not share random numbers; a whole batch needs no index.
            if grad_accum_steps > 1:
                keys = {name: jax.random.fold_in(keys[name], index) for name in keys}
            return module.apply({"params": params}, *inputs, train=True, rngs=keys)  # pyright: ignore[reportReturnType]

        (loss, terms), gradient = loss_and_gradient(
            forward,
            state.params,
            batch,
            inputs,
            losses=loss_config,
            grad_accum_steps=grad_accum_steps,
            frozen=frozen,
        )

        # 4. Update of the parameters and of their moving average.
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        metrics = {
            "loss": loss,
            **terms,
            **_iou_by_round(click_rollout),
            "learning_rate": jnp.asarray(schedule(state.step), jnp.float32),
            "gradient_norm": optax.global_norm(gradient),
            "parameter_norm": optax.global_norm(params),
        }
        new_state = TrainState(
            step=state.step + 1,
            params=params,
            opt_state=opt_state,
            key=state.key,
            ema_params=update_ema(
                state.ema_params, params, state.step, decay=ema_decay
            ),
            teacher=state.teacher,
        )
        return new_state, metrics

    return train_step


def _predict_prob(
    module: nn.Module,
    params: dict[str, Any],
    image: Float[Array, "b h w 3"],
    grad_accum_steps: int,
    clicks: Clicks,
    prev_mask: Float[Array, "b h w"],
) -> Float[Array, "b h w"]:
    """Predict probabilities for the simulated user, microbatch by microbatch."""

    # Without `train=True`: no dropout, and the same tokens as at inference.
    def predict_microbatch(*inputs: Any) -> Array:
        outputs: Any = module.apply({"params": params}, *inputs)
        return jax.nn.sigmoid(outputs.logits)

    return map_microbatches(
        predict_microbatch, grad_accum_steps, image, clicks, prev_mask
    )


def _iou_by_round(click_rollout: Rollout) -> Metrics:
    """Return the mean IoU after each round; nan for rounds that were not run.

    The IoU of a round is measured before the correction of the simulated user.
    """
    round_index = jnp.arange(click_rollout.ious.shape[1])[None]
    was_run = click_rollout.num_rounds[:, None] > round_index
    # A round that no example has run has the mean 0 / 0 = nan, which the log skips.
    masked_ious = jnp.where(was_run, click_rollout.ious, 0.0)
    iou_sums, counts = sum_over_shards((masked_ious.sum(0), was_run.sum(0)))
    return {
        f"iou_round{index}": mean_iou
        for index, mean_iou in enumerate(iou_sums / counts, 1)
    }
