"""Losses of a query decoder: the query that fits a target learns it, at every head."""

import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mst_jax import config_options
from mst_jax.geometry.resize import resize_pixel_centres
from mst_jax.losses.mask_losses import MASK_LOSSES, MaskLoss
from mst_jax.losses.matching import Assign, match_queries, matching_cost
from mst_jax.structs import Queries

ValuesAndCounts = tuple[Float[Array, " b"], Float[Array, " b"]]


class Answers(NamedTuple):
    """Which query answers for which target.

    Attributes:
        query: [b l t] number of the query at each head; each head is matched anew.
        exists: [b t] False where a target has vanished, and nobody answers.
        targets: [b t h w] the wanted masks at the size of the queries' masks.
        valid: [b h w] False on cells that do not count.
    """

    query: Int[Array, "b l t"]
    exists: Bool[Array, "b t"]
    targets: Bool[Array, "b t h w"]
    valid: Bool[Array, "b h w"]


def full_cells(
    region: Bool[Array, "*b h w"], height: int, width: int
) -> Bool[Array, "*b i j"]:
    """Shrinks a region: True where the bilinear resize by pixel centres gives a full 1.

    Of the complement it gives 0 there, which no rounding hides.
    """
    outside = (~region)[..., None].astype(jnp.float32)
    return resize_pixel_centres(outside, height, width)[..., 0] == 0.0


def find_answers(
    queries: Queries,
    targets: Bool[Array, "b t h w"],
    valid: Bool[Array, "b h w"],
    *,
    assign: Assign | None = None,
    **options: float | str,
) -> Answers:
    """Matches queries with targets, at each head anew.

    Source: Cheng et al., Mask2Former, CVPR 2022, Section 3.2.
    Departure: the published program takes the fractions at the border of a resized
    target for targets of the background.

    Args:
        queries: what the heads said.
        targets: [b t h w] wanted masks at the size of the picture, filled up with empty
            ones; a cell of the queries' masks is wanted where the resized target is
            fully 1.
        valid: [b h w] False on pixels that do not count; a cell counts where all the
            pixels do that it is resized from.
        assign: for several targets, see `matching.match_queries`.
        **options: see `matching.matching_cost`.
    """
    size = queries.mask_logits.shape[-2:]
    targets, valid = full_cells(targets, *size), full_cells(valid, *size)

    def match(*of_one: Array) -> tuple[Array, Array]:
        return match_queries(*of_one, assign=assign, **options)

    at_heads = jax.vmap(match, in_axes=(0, 0, None, None), out_axes=(0, None))
    said = queries.class_logits, queries.mask_logits
    query, exists = jax.vmap(at_heads)(*said, targets, valid)
    return Answers(query, exists, targets, valid)


def class_loss(
    queries: Queries,
    answers: Answers,
    *,
    no_click_weight: float = 1.0,
    click_weight: float = 0.1,
) -> ValuesAndCounts:
    """Cross-entropy of what the queries take themselves for: who answers is a click.

    Args:
        queries: what the heads said.
        answers: who should take itself for a click.
        no_click_weight: of the queries that answer for nothing.
        click_weight: of those that answer; the published weights lie this way round.

    Returns:
        [b] weighted sum over heads and queries, and [b] the weights of one head: the
        quotient of their sums is the weighted mean of each head, summed over the heads.
    """
    log_prob = jax.nn.log_softmax(queries.class_logits.astype(jnp.float32))
    numbers = jnp.arange(log_prob.shape[2])[None, None, None]
    answering = answers.query[..., None] == numbers
    is_click = (answering & answers.exists[:, None, :, None]).any(2)
    wrong = -jnp.where(is_click, log_prob[..., 1], log_prob[..., 0])
    weight = jnp.where(is_click, click_weight, no_click_weight)
    return (weight * wrong).sum((1, 2)), weight[:, 0].sum(1)


def mask_loss(
    queries: Queries, answers: Answers, *, loss: MaskLoss, **options: float | bool
) -> ValuesAndCounts:
    """A mask loss of the queries that answer.

    Args:
        queries: what the heads said.
        answers: which query learns which target.
        loss: of a mask, see `mask.MASK_LOSSES`.
        **options: of that loss.

    Returns:
        [b] sum over heads and targets, and [b] number of targets.
    """
    pick = jax.vmap(jax.vmap(lambda masks, query: masks[query]))
    picked = pick(queries.mask_logits, answers.query)
    targets = jnp.broadcast_to(answers.targets[:, None], picked.shape)
    valid = jnp.broadcast_to(answers.valid[:, None, None], picked.shape)
    each = loss(picked, targets, valid, **options)
    each = jnp.where(answers.exists[:, None], each, 0.0)
    return each.sum((1, 2)), answers.exists.sum(1).astype(jnp.float32)


def of_one_target(
    loss: Callable[..., ValuesAndCounts], **options: object
) -> Callable[..., ValuesAndCounts]:
    """Makes a term of the total loss: one target an example, matched, then the loss.

    Args:
        loss: (queries, answers, **options) -> values and counts.
        **options: keyword arguments of the loss that a config may give, and defaults.

    Returns:
        (queries, target [b h w], valid [b h w], **options), the options those of
        `matching.matching_cost` and of the loss. Give all terms the same matching.
    """
    matching = config_options.defaults_of(matching_cost)

    def term(
        queries: Queries,
        target: Bool[Array, "b h w"],
        valid: Bool[Array, "b h w"],
        **given: object,
    ) -> ValuesAndCounts:
        of_matching = {name: given.pop(name) for name in matching if name in given}
        answers = find_answers(queries, target[:, None], valid, **of_matching)
        return loss(queries, answers, **given)

    kinds = inspect.Parameter
    arrays = [
        kinds(name, kinds.POSITIONAL_OR_KEYWORD)
        for name in ("queries", "target", "valid")
    ]
    keywords = [
        kinds(name, kinds.KEYWORD_ONLY, default=value)
        for name, value in (matching | options).items()
    ]
    term.__signature__ = inspect.Signature([*arrays, *keywords])
    return term


QUERY_LOSSES: dict[str, Callable[..., ValuesAndCounts]] = {
    "query_class": of_one_target(class_loss, **config_options.defaults_of(class_loss)),
    **{
        f"query_{name}": of_one_target(
            functools.partial(mask_loss, loss=loss), **config_options.defaults_of(loss)
        )
        for name, loss in MASK_LOSSES.items()
    },
}
