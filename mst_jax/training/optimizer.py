"""Plain values to an optax optimiser and its schedule."""

import math
import re
from collections.abc import Sequence

import jax
import optax

from mst_jax.path_rules import Rules, any_matches, apply_rules, map_paths

OPTIMIZERS = ("adamw", "adam")
DECAYS = ("cosine", "steps", "none")


KERNELS = (("(.*/)?kernel", 1.0), (".*", 0.0))
"""Kernels decay; biases, norms and positions do not."""


def hold(params: dict, frozen: Sequence[str]) -> dict:
    """Keeps gradients from parameters whose whole path matches one of the patterns."""
    held = any_matches(frozen, params, block="config.optimizer.frozen")
    return jax.tree.map(
        lambda stays, leaf: jax.lax.stop_gradient(leaf) if stays else leaf, held, params
    )


def leave_out(
    optimizer: optax.GradientTransformation, frozen: Sequence[str]
) -> optax.GradientTransformation:
    """The optimiser of the other parameters; the frozen ones stay and have no state."""

    def part_of(params: dict) -> dict:
        held = any_matches(frozen, params, block="config.optimizer.frozen")
        return jax.tree.map(lambda stays: "held" if stays else "free", held)

    return optax.partition({"free": optimizer, "held": optax.set_to_zero()}, part_of)


def decay_weights(rate: float, rules: Rules) -> optax.GradientTransformation:
    """Adds each parameter times `rate` times the factor that the path rules give it."""

    def update(updates, state, params):
        factors = apply_rules(rules, params, block="config.optimizer.decay_rules")
        decayed = jax.tree.map(
            lambda u, p, factor: u + rate * factor * p, updates, params, factors
        )
        return decayed, state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def layer_rates(params: dict, *, decay: float) -> dict:
    """How much of the learning rate each parameter gets, by its depth in the ViT.

    Source: Clark et al., ELECTRA, ICLR 2020, Appendix A; for ViTs Bao et al., BEiT, ICLR
    2022: each layer has `decay` times the rate of the one above it. All that is not in
    the ViT has the whole rate, token selections among it. The embedding of clicks is the
    first layer's too: its kernel sums up many pixels and grows fast.

    Args:
        params: of a model.
        decay: 0 to 1.
    """
    paths = jax.tree.leaves(map_paths(str, params))
    blocks = [re.match(r"backbone/block(\d+)/", path) for path in paths]
    depth = 1 + max((int(found[1]) for found in blocks if found), default=-1)
    rules = [
        (f"backbone/block{number}/.*", decay ** (depth - number))
        for number in range(depth)
    ]
    rules = [("embed/.*", decay ** (depth + 1)), *rules, (".*", 1.0)]
    return apply_rules(rules, params, block="config.optimizer.layer_decay")


def scale_rates(decay: float, rules: Rules) -> optax.GradientTransformation:
    """Multiplies updates with `layer_rates` and with the factors of path rules."""

    def update(updates, state, params):
        layers = layer_rates(params, decay=decay)
        factors = apply_rules(rules, params, block="config.optimizer.rate_rules")
        scaled = jax.tree.map(
            lambda u, *rates: math.prod(rates) * u, updates, layers, factors
        )
        return scaled, state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


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
    decay_rules: Rules = KERNELS,
    clip_norm: float = 0.0,
    layer_decay: float = 1.0,
    rate_rules: Rules = (),
    frozen: Sequence[str] = (),
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
        weight_decay: of AdamW; times the learning rate.
        decay_rules: path rules of its factor.
        clip_norm: largest norm of the whole gradient; 0 = not clipped.
        layer_decay: learning rate of a ViT block in units of the next block's, 0 to 1;
            see `layer_rates`.
        rate_rules: path rules of further factors of the learning rate; 1 where none
            matches.
        frozen: patterns of the paths of parameters that never change, such as
            ("embed/.*", "backbone/.*").

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
        ("layer_decay", layer_decay, 0 < layer_decay <= 1),
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
    rate = optax.scale_by_learning_rate(schedule)
    decay = [decay_weights(weight_decay, decay_rules)] if weight_decay else []
    optimizer = optax.chain(optax.scale_by_adam(*betas), *decay, rate)
    if clip_norm:
        optimizer = optax.chain(optax.clip_by_global_norm(clip_norm), optimizer)
    if frozen:
        optimizer = leave_out(optimizer, frozen)
    if layer_decay < 1 or rate_rules:
        rules = (*rate_rules, (".*", 1.0))
        optimizer = optax.chain(optimizer, scale_rates(layer_decay, rules))
    return optimizer, schedule
