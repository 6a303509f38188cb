"""The sum of the losses that a config names."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mst_jax import collectives, config_options
from mst_jax.losses.distillation import distillation_loss
from mst_jax.losses.mask_losses import MASK_LOSSES, MaskLoss, in_mask_form
from mst_jax.losses.query_losses import QUERY_LOSSES, ValuesAndCounts
from mst_jax.losses.token_contrast import token_contrast
from mst_jax.losses.token_score import token_score
from mst_jax.structs import Batch, Outputs

# Name -> weight, or weight and options: {"dice": 1.0, "poly": {"weight": 2, "gamma": 3}}.
Losses = Mapping[str, float | int | Mapping[str, object]]

# Less than any count that is not zero.
NOTHING = 1e-9


class Term(NamedTuple):
    """A loss and what it looks at.

    Attributes:
        looks_at: a field of `Outputs`.
        loss: (looked at, wanted [b h w], valid [b h w], **options) -> a sum of losses
            and what it is divided by, of each example; both are summed over the batch
            before the division.
        wants: a field of `Batch`.
    """

    looks_at: str
    loss: Callable[..., ValuesAndCounts]
    wants: str = "target"


def every_example_counts(mask_loss: MaskLoss) -> Callable[..., ValuesAndCounts]:
    """Makes the loss of a term whose part is the mean over the examples."""

    @functools.wraps(mask_loss)
    def loss(*args: Array, **options: object) -> ValuesAndCounts:
        values = mask_loss(*args, **options)
        return values, jnp.ones_like(values)

    return loss


TERMS: dict[str, Term] = {
    **{n: Term("logits", every_example_counts(f)) for n, f in MASK_LOSSES.items()},
    **{n: Term("queries", f) for n, f in QUERY_LOSSES.items()},
    "token_contrast": Term("choices", token_contrast),
    "token_score": Term("choices", token_score),
    "distillation": Term(
        "logits", every_example_counts(in_mask_form(distillation_loss)), "taught"
    ),
}


def read_setting(setting: object) -> dict[str, object]:
    """Returns the weight and the options that a config gives a loss, as one mapping."""
    return dict(setting) if isinstance(setting, Mapping) else {"weight": setting}


def check_terms(losses: Mapping[str, object]) -> None:
    """Raises ValueError unless `losses` names known losses, options, positive weights.

    Args:
        losses: name in `TERMS` -> weight, or a mapping with the weight and options.
    """
    unknown = sorted(set(losses) - set(TERMS))
    if unknown or not losses:
        raise ValueError(
            f"config.losses names {', '.join(unknown) or 'no loss'}; "
            f"known losses: {', '.join(TERMS)}"
        )
    for name, setting in losses.items():
        block, given = f"config.losses.{name}", read_setting(setting)
        defaults = config_options.defaults_of(TERMS[name].loss)
        known = {"weight": 1.0, **defaults}
        config_options.check_keys(block, defaults | given, known)
        config_options.check_kinds(block, given, known)
        if given["weight"] <= 0:
            raise ValueError(
                f"the weight of {block} is {given['weight']}, expected more than 0; "
                "leave a loss out that you do not want"
            )


def check_outputs(losses: Iterable[str], outputs: Outputs) -> None:
    """Raises ValueError unless the model says what each loss looks at."""
    for name in losses:
        field = TERMS[name].looks_at
        said = getattr(outputs, field)
        if isinstance(said, tuple) and not said:
            raise ValueError(
                f"config.losses names {name}, which looks at outputs.{field}; the model "
                "has none: leave the loss out or choose another model"
            )


def count_terms(
    outputs: Outputs, batch: Batch, *, losses: Losses
) -> dict[str, Float[Array, ""]]:
    """What each part of the loss is divided by: its term's counts over the batch."""
    return {
        name: counts.sum() for name, _, _, counts in _each_term(outputs, batch, losses)
    }


def total_loss(
    outputs: Outputs,
    batch: Batch,
    *,
    losses: Losses,
    counts: Mapping[str, Float[Array, ""]] | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Weighted sum of the named losses.

    Args:
        outputs: of the model.
        batch: what was wanted.
        losses: name in `TERMS` -> weight, or a mapping with the weight and options.
        counts: what the parts are divided by. If `batch` is a part of a larger one,
            these are the larger one's `count_terms`, and the losses of its parts add up
            to its loss. None: those of `batch`; under `jax.pmap` those of the whole
            batch, see `whole_batch`, so that the losses of the shares add up to its loss.

    Returns:
        The sum, and every part before its weight, for the log. A part is the sum of its
        term's values over the sum of its counts, 0 if nothing counts.

    Raises:
        ValueError: see `check_terms` and `check_outputs`.
    """
    total, parts = 0.0, {}
    for name, weight, values, own in _each_term(outputs, batch, losses):
        count = collectives.total(own.sum()) if counts is None else counts[name]
        count = jax.lax.stop_gradient(count)
        parts[name] = values.sum() / jnp.maximum(count, NOTHING)
        total += weight * parts[name]
    return total, parts


def _each_term(
    outputs: Outputs, batch: Batch, losses: Losses
) -> Iterator[tuple[str, float, Float[Array, " b"], Float[Array, " b"]]]:
    """Name, weight, values and counts of each loss."""
    check_terms(losses)
    check_outputs(losses, outputs)
    for name, setting in losses.items():
        term, options = TERMS[name], read_setting(setting)
        weight, said = options.pop("weight"), getattr(outputs, term.looks_at)
        wanted = getattr(batch, term.wants)
        values, counts = term.loss(said, wanted, batch.valid, **options)
        yield name, weight, values, counts
