"""Plain values to an optax optimiser and its schedule."""

from collections.abc import Sequence

import jax
import optax

OPTIMIZERS = ("adamw", "adam")
DECAYS = ("cosine", "steps", "none")


def is_decayed(params: dict) -> dict:
    """True for kernels: biases, norms and positions do not decay."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[-1].key == "kernel", params
    )


def make_schedule(
    steps: int,
    *,
    learning_rate: float,
    warmup: int,
    decay: str,
    milestones: Sequence[float],
) -> optax.Schedule:
    """Learning rate of each step; arguments as in `make_optimizer`."""
    if decay not in DECAYS:
        raise ValueError(
            f"config.optimizer.decay is {decay!r}; choose one of {', '.join(DECAYS)}"
        )
    if decay == "cosine":
        main = optax.cosine_decay_schedule(learning_rate, max(steps - warmup, 1))
    else:
        kept = milestones if decay == "steps" else ()
        edges = {int(share * steps) - warmup: 0.1 for share in kept}
        main = optax.piecewise_constant_schedule(learning_rate, edges)
    rise = optax.linear_schedule(0.0, learning_rate, max(warmup, 1))
    return optax.join_schedules([rise, main], [warmup]) if warmup else main


def make_optimizer(
    steps: int,
    *,
    learning_rate: float,
    name: str = "adamw",
    warmup: int = 0,
    decay: str = "cosine",
    milestones: Sequence[float] = (),
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """Builds the optimiser of a run.

    Args:
        steps: updates of the whole run.
        learning_rate: the largest one.
        name: "adamw" or "adam".
        warmup: steps of linear rise from 0.
        decay: "cosine" to 0 at the end, "steps": times 0.1 at each milestone, or "none".
        milestones: shares of the run, 0 to 1, for "steps".
        betas: decay of the gradient's mean and mean square.
        weight_decay: of AdamW, on kernels only; times the learning rate.
        clip_norm: largest norm of the whole gradient; 0 = not clipped.

    Returns:
        The optimiser, and the schedule, step -> learning rate.

    Raises:
        ValueError: an unknown name, a number out of range, a weight decay without AdamW.
    """
    if name not in OPTIMIZERS:
        raise ValueError(
            f"config.optimizer.name is {name!r}; choose one of {', '.join(OPTIMIZERS)}"
        )
    for key, value, fits in (
        ("learning_rate", learning_rate, learning_rate > 0),
        ("warmup", warmup, 0 <= warmup <= steps),
        ("weight_decay", weight_decay, weight_decay >= 0),
        ("clip_norm", clip_norm, clip_norm >= 0),
        ("betas", betas, all(0 <= beta < 1 for beta in betas)),
        ("milestones", milestones, all(0 < share < 1 for share in milestones)),
    ):
        if not fits:
            raise ValueError(
                f"config.optimizer.{key} is {value}, out of range for {steps} steps; "
                "see make_optimizer"
            )
    if weight_decay and name != "adamw":
        raise ValueError(
            f"weight_decay {weight_decay} needs name='adamw', got {name!r}"
        )
    schedule = make_schedule(
        steps,
        learning_rate=learning_rate,
        warmup=warmup,
        decay=decay,
        milestones=milestones,
    )
    if name == "adamw":
        update = optax.adamw(
            schedule, *betas, weight_decay=weight_decay, mask=is_decayed
        )
    else:
        update = optax.adam(schedule, *betas)
    clip = [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
    return optax.chain(*clip, update), schedule
