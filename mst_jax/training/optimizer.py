"""Build the optax optimizer and learning rate schedule that a config describes."""

import dataclasses
import math
import re
from collections.abc import Hashable, Sequence
from typing import Any

import jax
import optax

from mst_jax.name_choices import list_choices
from mst_jax.path_rules import PathRules, any_matches, apply_rules, map_paths

OPTIMIZER_NAMES = ("adamw", "adam")
SCHEDULE_NAMES = ("cosine", "steps", "none")

KERNELS_ONLY: PathRules[float] = (("(.*/)?kernel", 1.0), (".*", 0.0))
"""Weight decay for kernels; none for biases, norms and positions."""


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """Options of the optimizer, block `optimizer` of a config.

    Attributes:
        learning_rate: Maximum learning rate, more than 0.
        name: "adamw" or "adam".
        warmup: Number of steps in which the learning rate rises linearly from 0.
        schedule: "cosine": to 0 at the last step; "steps": times 0.1 at each milestone;
            "none": constant.
        milestones: Fractions of the run, 0 to 1, for the schedule "steps".
        betas: Decay rates of the moving averages of the gradient and of its square.
        weight_decay: Weight decay of AdamW; it is multiplied by the learning rate.
        weight_decay_rules: Path rules whose values are factors of the weight decay.
        clip_norm: Maximum global norm of the gradient; 0 = not clipped.
        layerwise_lr_decay: Learning rate of a ViT block divided by that of the next
            block, 0 to 1; see `layerwise_lr_factors`.
        lr_rules: Path rules whose values are further factors of the learning rate; 1
            where none matches.
        frozen: Patterns of the paths of parameters that never change, such as
            ("embed/.*", "backbone/.*").
    """

    learning_rate: float
    name: str = "adamw"
    warmup: int = 0
    schedule: str = "cosine"
    milestones: Sequence[float] = ()
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    weight_decay_rules: PathRules[float] = KERNELS_ONLY
    clip_norm: float = 0.0
    layerwise_lr_decay: float = 1.0
    lr_rules: PathRules[float] = ()
    frozen: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the names and ranges."""
        for key, allowed_names in (
            ("name", OPTIMIZER_NAMES),
            ("schedule", SCHEDULE_NAMES),
        ):
            value = getattr(self, key)
            if value not in allowed_names:
                raise ValueError(
                    f"{key} is {value!r}; {list_choices(value, allowed_names)}"
                )
        milestones_fit = all(0 < milestone < 1 for milestone in self.milestones)
        for key, is_in_range, expected_range in (
            ("learning_rate", self.learning_rate > 0, "more than 0"),
            ("warmup", self.warmup >= 0, "0 or more"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("clip_norm", self.clip_norm >= 0, "0 or more"),
            ("layerwise_lr_decay", 0 < self.layerwise_lr_decay <= 1, "0 to 1"),
            ("betas", all(0 <= beta < 1 for beta in self.betas), "0 to less than 1"),
            ("milestones", milestones_fit, "fractions between 0 and 1"),
        ):
            if not is_in_range:
                raise ValueError(
                    f"{key} is {getattr(self, key)}, out of range; expected "
                    f"{expected_range}"
                )
        if self.weight_decay and self.name != "adamw":
            raise ValueError(
                f"weight_decay {self.weight_decay} needs name='adamw', got "
                f"{self.name!r}"
            )


def make_optimizer(
    options: OptimizerOptions, *, num_steps: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """Build the optimizer of a training run.

    Args:
        options: Options of the optimizer.
        num_steps: Number of updates of the whole run.

    Returns:
        The optimizer, and the schedule, step -> learning rate.

    Raises:
        ValueError: The warmup is longer than the run.
    """
    schedule = make_schedule(options, num_steps=num_steps)
    # 1. Adam, decoupled weight decay, learning rate.
    weight_decay = (
        [add_weight_decay(options.weight_decay, options.weight_decay_rules)]
        if options.weight_decay
        else []
    )
    optimizer = optax.chain(
        optax.scale_by_adam(*options.betas),
        *weight_decay,
        optax.scale_by_learning_rate(schedule),
    )
    # 2. The norm that is clipped is that of the parameters that are not frozen.
    if options.clip_norm:
        clip_gradient = optax.clip_by_global_norm(options.clip_norm)
        optimizer = optax.chain(clip_gradient, optimizer)
    if options.frozen:
        optimizer = freeze(optimizer, options.frozen)
    # 3. Last, so that the factors scale Adam's step, which does not depend on the size
    #    of the gradient, and its weight decay.
    if options.layerwise_lr_decay < 1 or options.lr_rules:
        rules = (*options.lr_rules, (".*", 1.0))
        scale_updates = scale_learning_rates(options.layerwise_lr_decay, rules)
        optimizer = optax.chain(optimizer, scale_updates)
    return optimizer, schedule


def make_schedule(options: OptimizerOptions, *, num_steps: int) -> optax.Schedule:
    """Build the learning rate schedule, step -> learning rate.

    Args:
        options: Options of the optimizer.
        num_steps: Number of updates of the whole run.

    Raises:
        ValueError: The warmup is longer than the run.
    """
    learning_rate, warmup = options.learning_rate, options.warmup
    if warmup > num_steps:
        raise ValueError(
            f"config.optimizer.warmup is {warmup}, more than the {num_steps} steps of "
            f"the run; expected 0 to {num_steps}, such as "
            f"--config.optimizer.warmup={num_steps // 10}"
        )
    # 1. From the end of the warmup to the end of the run.
    if options.schedule == "cosine":
        main_schedule = optax.cosine_decay_schedule(
            learning_rate, max(num_steps - warmup, 1)
        )
    else:
        milestones = options.milestones if options.schedule == "steps" else ()
        # The joined schedule counts from the end of the warmup.
        milestone_factors = {
            int(fraction * num_steps) - warmup: 0.1 for fraction in milestones
        }
        main_schedule = optax.piecewise_constant_schedule(
            learning_rate, milestone_factors
        )
    # 2. The warmup before it. `linear_schedule` needs at least one step.
    warmup_schedule = optax.linear_schedule(0.0, learning_rate, max(warmup, 1))
    return (
        optax.join_schedules([warmup_schedule, main_schedule], [warmup])
        if warmup
        else main_schedule
    )


def stop_frozen_gradients(
    params: dict[str, Any], frozen: Sequence[str]
) -> dict[str, Any]:
    """Stop the gradients of frozen parameters.

    Args:
        params: Tree of parameters.
        frozen: Patterns of the whole paths of frozen parameters.

    Returns:
        The same values; no gradient flows to those whose path matches a pattern.
    """
    is_frozen = any_matches(frozen, params, block="config.optimizer.frozen")
    return jax.tree.map(
        lambda stop, leaf: jax.lax.stop_gradient(leaf) if stop else leaf,
        is_frozen,
        params,
    )


def freeze(
    optimizer: optax.GradientTransformation, frozen: Sequence[str]
) -> optax.GradientTransformation:
    """Restrict an optimizer to the parameters that are not frozen.

    Args:
        optimizer: Optimizer of the other parameters.
        frozen: Patterns of the whole paths of parameters that get no update and no
            optimizer state.
    """

    # `optax.partition` also hides frozen gradients from a clipped global norm.
    def labels_of(params: Any) -> Any:
        is_frozen = any_matches(frozen, params, block="config.optimizer.frozen")
        return jax.tree.map(lambda stop: "frozen" if stop else "trained", is_frozen)

    label_transforms: dict[Hashable, optax.GradientTransformation] = {
        "trained": optimizer,
        "frozen": optax.set_to_zero(),
    }
    return optax.partition(label_transforms, labels_of)


def _init_empty_state(params: Any) -> optax.OptState:
    """Return the state of a transformation that has none."""
    return optax.EmptyState()


def add_weight_decay(
    weight_decay: float, rules: PathRules[float]
) -> optax.GradientTransformation:
    """Add each parameter times the weight decay to its update.

    Args:
        weight_decay: Weight decay.
        rules: Path rules whose values are factors of the weight decay.
    """

    # Like optax.add_decayed_weights, whose mask knows True and False only.
    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        rule_factors = apply_rules(
            rules, params, block="config.optimizer.weight_decay_rules"
        )
        decayed_updates = jax.tree.map(
            lambda u, p, factor: u + weight_decay * factor * p,
            updates,
            params,
            rule_factors,
        )
        return decayed_updates, state

    return optax.GradientTransformation(_init_empty_state, update)


def layerwise_lr_factors(params: dict[str, Any], *, decay: float) -> dict[str, Any]:
    """Return the factor of each parameter's learning rate, by its depth in the ViT.

    Source: Clark et al., ELECTRA, ICLR 2020, Appendix A; for ViTs Bao et al., BEiT,
        ICLR
    2022: each block has `decay` times the learning rate of the next block. Everything
    outside the ViT, token selections among it, has the full learning rate. The
    embedding of clicks counts as part of the first layer: its kernel sums over many
    pixels and grows fast.

    Args:
        params: Parameters of a model.
        decay: Factor from block to block, 0 to 1.
    """
    param_paths = jax.tree.leaves(map_paths(str, params))
    block_matches = [re.match(r"backbone/block(\d+)/", path) for path in param_paths]
    num_blocks = 1 + max(
        (int(block_match[1]) for block_match in block_matches if block_match),
        default=-1,
    )
    # The last block has the factor `decay`; the embedding is one layer before block 0.
    block_rules = [
        (f"backbone/block{index}/.*", decay ** (num_blocks - index))
        for index in range(num_blocks)
    ]
    rules = [("embed/.*", decay ** (num_blocks + 1)), *block_rules, (".*", 1.0)]
    return apply_rules(rules, params, block="config.optimizer.layerwise_lr_decay")


def scale_learning_rates(
    decay: float, rules: PathRules[float]
) -> optax.GradientTransformation:
    """Multiply updates by `layerwise_lr_factors` and by the factors of path rules.

    Args:
        decay: Factor of the learning rate from ViT block to block, 0 to 1.
        rules: Path rules whose values are further factors.
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        layer_factors = layerwise_lr_factors(params, decay=decay)
        rule_factors = apply_rules(rules, params, block="config.optimizer.lr_rules")
        scaled_updates = jax.tree.map(
            lambda u, *products: math.prod(products) * u,
            updates,
            layer_factors,
            rule_factors,
        )
        return scaled_updates, state

    return optax.GradientTransformation(_init_empty_state, update)
