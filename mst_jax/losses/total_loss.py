"""The total loss: the weighted sum of the losses that a config names."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mst_jax import collectives, config_options
from mst_jax.losses.cross_entropy import distillation_loss
from mst_jax.losses.mask_losses import (
    MASK_LOSSES,
    MaskLoss,
    as_mask_loss,
    loss_options,
)
from mst_jax.losses.query_losses import QUERY_LOSSES, SumsAndCounts
from mst_jax.losses.token_contrast import token_contrast
from mst_jax.losses.token_score import token_score
from mst_jax.name_choices import closest_names
from mst_jax.structs import Batch, Outputs

# Name -> weight, or weight and options: {"dice": 1.0, "poly": {"weight": 2, "gamma": 3}}.
LossConfig = Mapping[str, float | int | Mapping[str, Any]]

# Smallest count that is divided by; it lies below any count that is not zero.
MIN_COUNT = 1e-9


class LossTerm(NamedTuple):
    """A loss, and the fields of the model's outputs and of the batch that it compares.

    Attributes:
        output_field: Field of `Outputs` that holds the predictions.
        loss_fn: (predictions, targets [b h w], *, where [b h w], **options) -> values
            and counts [b]: a sum of losses of each example, and what it is divided by.
            Both are summed over the batch before the division.
        target_field: Field of `Batch` that holds the targets.
    """

    output_field: str
    loss_fn: Callable[..., SumsAndCounts]
    target_field: str = "target"


def mean_over_examples(mask_loss: MaskLoss) -> Callable[..., SumsAndCounts]:
    """Make the loss of a term that is the mean over all examples.

    Args:
        mask_loss: (logits, targets, *, where, **options) -> [b] values.

    Returns:
        The same function, which also returns the count 1 of each example.
    """

    @functools.wraps(mask_loss)
    def loss_with_counts(*arrays: Array, **options: Any) -> SumsAndCounts:
        values = mask_loss(*arrays, **options)
        return values, jnp.ones_like(values)

    return loss_with_counts


LOSS_TERMS: dict[str, LossTerm] = {
    **{
        name: LossTerm("logits", mean_over_examples(mask_loss))
        for name, mask_loss in MASK_LOSSES.items()
    },
    **{name: LossTerm("queries", loss_fn) for name, loss_fn in QUERY_LOSSES.items()},
    "token_contrast": LossTerm("selections", token_contrast),
    "token_score": LossTerm("selections", token_score),
    "distillation": LossTerm(
        "logits",
        mean_over_examples(as_mask_loss(distillation_loss)),
        target_field="teacher_logits",
    ),
}


def weight_and_options(loss_setting: Any) -> dict[str, Any]:
    """Return the setting of a loss as one mapping of its weight and options.

    Args:
        loss_setting: Value in a config: the weight, or a mapping with the key "weight".
            `check_loss_config` checks it.
    """
    if isinstance(loss_setting, Mapping):
        return dict(loss_setting)
    return {"weight": loss_setting}


def check_loss_config(losses: Mapping[str, Any]) -> None:
    """Check that a config names known losses and options, and positive weights.

    Args:
        losses: Name in `LOSS_TERMS` -> weight, or a mapping with the weight and options.

    Raises:
        ValueError: An unknown loss or option, a value of the wrong type, or a weight that
            is not positive.
    """
    unknown_names = sorted(set(losses) - set(LOSS_TERMS))
    if unknown_names or not losses:
        raise ValueError(
            f"config.losses names {', '.join(unknown_names) or 'no loss'}; "
            f"known losses: {', '.join(LOSS_TERMS)}"
            f"{closest_names(unknown_names, LOSS_TERMS)}"
        )
    for name, loss_setting in losses.items():
        block_name, options = f"config.losses.{name}", weight_and_options(loss_setting)
        defaults = {"weight": 1.0, **loss_options(LOSS_TERMS[name].loss_fn)}
        # The weight has no default: it must be given.
        config_options.check_keys(block_name, options, defaults, required=["weight"])
        config_options.check_value_types(block_name, options, defaults)
        if options["weight"] <= 0:
            raise ValueError(
                f"the weight of {block_name} is {options['weight']}, expected more "
                "than 0; leave out a loss that you do not want"
            )


def check_loss_inputs(losses: Iterable[str], outputs: Outputs) -> None:
    """Check that a model returns the predictions that each loss needs.

    Args:
        losses: Names in `LOSS_TERMS`.
        outputs: Outputs of the model; their shapes suffice.

    Raises:
        ValueError: Predictions that the model does not return.
    """
    for name in losses:
        output_field = LOSS_TERMS[name].output_field
        predictions = getattr(outputs, output_field)
        # Models without token selection return an empty tuple of selections.
        has_none = isinstance(predictions, tuple) and not predictions
        if predictions is None or has_none:
            raise ValueError(
                f"config.losses names {name}, which needs outputs.{output_field}; "
                "the model has none: leave out the loss or choose another model"
            )


def loss_counts(
    outputs: Outputs, batch: Batch, *, losses: LossConfig
) -> dict[str, Float[Array, ""]]:
    """Compute the number that each term is divided by: its counts summed over the batch.

    Args:
        outputs: Outputs of the model.
        batch: Batch with the targets.
        losses: Name in `LOSS_TERMS` -> weight, or a mapping with the weight and options.

    Returns:
        Name of each loss -> its count.
    """
    return {
        name: counts.sum()
        for name, _, _, counts in _evaluate_terms(outputs, batch, losses)
    }


def total_loss(
    outputs: Outputs,
    batch: Batch,
    *,
    losses: LossConfig,
    counts: Mapping[str, Float[Array, ""]] | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Compute the weighted sum of the named losses.

    Args:
        outputs: Outputs of the model.
        batch: Batch with the targets.
        losses: Name in `LOSS_TERMS` -> weight, or a mapping with the weight and options.
        counts: Numbers that the terms are divided by. If `batch` is a part of a larger
            one, these are the `loss_counts` of the larger one, so that the losses of the
            parts add up to its loss. None: those of `batch`; under `jax.pmap` those of
            the whole batch, see `collectives`, so that the losses of the shards add up to
            its loss.

    Returns:
        The sum, and each term before its weight, for the log. A term is the sum of its
        values over the sum of its counts, 0 if nothing counts.

    Raises:
        ValueError: See `check_loss_config` and `check_loss_inputs`.
    """
    total: Any = 0.0  # an array as soon as a term is added
    terms = {}
    for name, weight, values, own_counts in _evaluate_terms(outputs, batch, losses):
        if counts is None:
            term_count = collectives.sum_over_shards(own_counts.sum())
        else:
            term_count = counts[name]
        # A count of tokens can depend on scores, which must not learn through it.
        term_count = jax.lax.stop_gradient(term_count)
        terms[name] = values.sum() / jnp.maximum(term_count, MIN_COUNT)
        total += weight * terms[name]
    return total, terms


def _evaluate_terms(
    outputs: Outputs, batch: Batch, losses: LossConfig
) -> Iterator[tuple[str, float, Float[Array, " b"], Float[Array, " b"]]]:
    """Yield the name, weight, values and counts of each loss."""
    check_loss_config(losses)
    check_loss_inputs(losses, outputs)
    for name, loss_setting in losses.items():
        loss_term, options = LOSS_TERMS[name], weight_and_options(loss_setting)
        weight = options.pop("weight")
        predictions = getattr(outputs, loss_term.output_field)
        targets = getattr(batch, loss_term.target_field)
        values, counts = loss_term.loss_fn(
            predictions, targets, where=batch.valid, **options
        )
        yield name, weight, values, counts
