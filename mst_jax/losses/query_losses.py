"""Losses of a query decoder, after matching each target with one of its queries.

The decoder predicts before its first layer and after each layer (deep supervision); the
axis `l` counts these predictions. Every prediction has a matching and a loss of its own.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mst_jax import config_options
from mst_jax.geometry.resize import resize_pixel_centers
from mst_jax.losses.mask_losses import MASK_LOSSES, MaskLoss, loss_options
from mst_jax.losses.matching import AssignFn, match_queries, matching_cost
from mst_jax.losses.pixel_errors import limit_logits
from mst_jax.structs import QueryOutputs

SumsAndCounts = tuple[Float[Array, " b"], Float[Array, " b"]]


class QueryMatches(NamedTuple):
    """The matching of queries and targets, at the size of the mask logits.

    Attributes:
        query_index: [b l t] index of the query of each target, in each of the l
            predictions.
        target_exists: [b t] False for targets without a valid cell, which have no query.
        targets: [b t h w] target masks at the size of the mask logits.
        valid: [b h w] False on cells that do not count.
    """

    query_index: Int[Array, "b l t"]
    target_exists: Bool[Array, "b t"]
    targets: Bool[Array, "b t h w"]
    valid: Bool[Array, "b h w"]


def shrink_to_full_cells(
    mask: Bool[Array, "*b h w"], height: int, width: int
) -> Bool[Array, "*b i j"]:
    """Shrink a mask: True where the bilinear resize by pixel centers is fully 1.

    Args:
        mask: [*b h w] mask at the size of the image.
        height: New height in cells.
        width: New width in cells.

    Returns:
        [*b height width] mask of the full cells.
    """
    # The complement is exactly 0 there; the mask itself could be rounded below 1.
    outside = (~mask)[..., None].astype(jnp.float32)
    return resize_pixel_centers(outside, height, width)[..., 0] == 0.0


def match_targets(
    queries: QueryOutputs,
    targets: Bool[Array, "b t h w"],
    valid: Bool[Array, "b h w"],
    *,
    assign_fn: AssignFn | None = None,
    **cost_options: float | str,
) -> QueryMatches:
    """Match the targets with the queries of each prediction of the decoder.

    Source: Cheng et al., Mask2Former, CVPR 2022, Section 3.2.
    Departure: the published program keeps fractional values at the border of a resized
    target. Here a partly covered cell is background.

    Args:
        queries: Predictions of the query decoder.
        targets: [b t h w] target masks at the size of the image, padded with empty ones.
            A cell of the mask logits belongs to the target where the resized target is
            fully 1.
        valid: [b h w] False on pixels that do not count. A cell counts where all pixels
            count from which it is resized.
        assign_fn: Assignment for several targets, see `matching.match_queries`.
        **cost_options: Options of `matching.matching_cost`.

    Returns:
        The matching, and targets and valid at the size of the mask logits.
    """
    cell_size = queries.mask_logits.shape[-2:]
    targets = shrink_to_full_cells(targets, *cell_size)
    valid = shrink_to_full_cells(valid, *cell_size)

    def match_prediction(*arrays: Array) -> tuple[Array, Array]:
        return match_queries(*arrays, assign_fn=assign_fn, **cost_options)

    # All predictions share the targets; `target_exists` depends on these alone, so it is
    # not batched.
    match_predictions = jax.vmap(
        match_prediction, in_axes=(0, 0, None, None), out_axes=(0, None)
    )
    query_index, target_exists = jax.vmap(match_predictions)(
        queries.class_logits, queries.mask_logits, targets, valid
    )
    return QueryMatches(query_index, target_exists, targets, valid)


def query_class_loss(
    queries: QueryOutputs,
    matches: QueryMatches,
    *,
    no_click_weight: float = 1.0,
    click_weight: float = 0.1,
) -> SumsAndCounts:
    """Compute the cross-entropy of the classes: a matched query is a click.

    Args:
        queries: Predictions of the query decoder.
        matches: Matching of queries and targets.
        no_click_weight: Weight of the queries without a target.
        click_weight: Weight of the matched queries; smaller than `no_click_weight`, as in
            the published program.

    Returns:
        [b] weighted sum over predictions and queries, and [b] sum of the weights of one
        prediction: the quotient of their sums is the weighted mean of each prediction,
        summed over the predictions.
    """
    class_logits = limit_logits(queries.class_logits.astype(jnp.float32))
    log_prob = jax.nn.log_softmax(class_logits)
    # 1. [b l q] True for the queries that are matched with a target that exists.
    query_indices = jnp.arange(log_prob.shape[2])[None, None, None]
    is_matched = matches.query_index[..., None] == query_indices
    is_click = (is_matched & matches.target_exists[:, None, :, None]).any(2)
    # 2. The weighted cross-entropy.
    cross_entropy = -jnp.where(is_click, log_prob[..., 1], log_prob[..., 0])
    weight = jnp.where(is_click, click_weight, no_click_weight)
    return (weight * cross_entropy).sum((1, 2)), weight[:, 0].sum(1)


def query_mask_loss(
    queries: QueryOutputs, matches: QueryMatches, *, loss_fn: MaskLoss, **options: Any
) -> SumsAndCounts:
    """Compute a mask loss of the matched queries.

    Args:
        queries: Predictions of the query decoder.
        matches: Matching of queries and targets.
        loss_fn: Loss of a mask, see `mask_losses.MASK_LOSSES`.
        **options: Options of that loss.

    Returns:
        [b] sum over predictions and targets, and [b] number of targets.
    """
    # 1. [b l t h w] the mask of the query of each target.
    gather_masks = jax.vmap(jax.vmap(lambda masks, query_index: masks[query_index]))
    matched_logits = gather_masks(queries.mask_logits, matches.query_index)
    # 2. Every prediction has the same targets.
    targets = jnp.broadcast_to(matches.targets[:, None], matched_logits.shape)
    valid = jnp.broadcast_to(matches.valid[:, None, None], matched_logits.shape)
    values = loss_fn(matched_logits, targets, where=valid, **options)
    values = jnp.where(matches.target_exists[:, None], values, 0.0)
    return values.sum((1, 2)), matches.target_exists.sum(1).astype(jnp.float32)


def with_matching(
    loss_fn: Callable[..., SumsAndCounts], option_defaults: Mapping[str, Any]
) -> Callable[..., SumsAndCounts]:
    """Turn a loss of matched queries into one that first matches a single target.

    Args:
        loss_fn: (queries, matches, **options) -> values and counts.
        option_defaults: Options of the loss that a config may give, and their defaults.

    Returns:
        (queries, targets [b h w], *, where [b h w], **options) -> values and counts, with
        the options of `matching.matching_cost` and of the loss. All query losses of a
        config should have the same matching options, else they train different queries.
    """
    cost_defaults = config_options.keyword_defaults(matching_cost)

    def matched_loss(
        queries: QueryOutputs,
        targets: Bool[Array, "b h w"],
        *,
        where: Bool[Array, "b h w"],
        **options: Any,
    ) -> SumsAndCounts:
        cost_options = {
            name: options.pop(name) for name in cost_defaults if name in options
        }
        matches = match_targets(queries, targets[:, None], where, **cost_options)
        return loss_fn(queries, matches, **options)

    # The signature lists the options, so that a config's keys can be checked.
    parameters = [
        parameter
        for parameter in inspect.signature(matched_loss).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in {**cost_defaults, **option_defaults}.items()
    ]
    signature = inspect.Signature(parameters)
    matched_loss.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    return matched_loss


QUERY_LOSSES: dict[str, Callable[..., SumsAndCounts]] = {
    "query_class": with_matching(query_class_loss, loss_options(query_class_loss)),
    **{
        f"query_{name}": with_matching(
            functools.partial(query_mask_loss, loss_fn=loss_fn), loss_options(loss_fn)
        )
        for name, loss_fn in MASK_LOSSES.items()
    },
}
