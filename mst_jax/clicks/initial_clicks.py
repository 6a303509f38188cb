"""Sample the clicks with which a training example begins, from its target."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from mst_jax.clicks.sample_pixels import sample_pixels
from mst_jax.geometry.distance import dilate
from mst_jax.structs import EMPTY, NEGATIVE, POSITIVE, Clicks

COUNT_DECAY = 0.8  # probability of one click more, relative to one click less
EROSION_PROB = 0.9  # probability that the positive clicks avoid the border
EROSION_RADIUS = 3  # pixels: three erosions by 3x3 pixels
# Probabilities of the three sources of a negative click.
BACKGROUND_PROB, OTHER_OBJECTS_PROB, BORDER_BAND_PROB = 0.1, 0.4, 0.5
BAND_WIDTH = 0.1  # relative to the square root of the object's area


def sample_initial_clicks(
    key: PRNGKeyArray,
    target: Bool[Array, "h w"],
    others: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    *,
    num_slots: int,
    max_per_label: int = 24,
) -> Clicks:
    """Sample several positive and negative clicks for one example.

    There are 1 to `max_per_label` positive and 0 to `max_per_label` negative clicks; each
    further click is less likely by a factor of 0.8. Positive clicks lie on the target,
    with probability 0.9 on the target eroded three times by 3x3 pixels. Each negative
    click comes from the background (0.1), from other objects (0.4; from the background
    if there are none) or from the band around the target (0.5; see `border_band`). A
    source without pixels gives no click.

    Source: multi-point sampler of RITM, Sofiiuk et al., ICIP 2022, as used by MST,
    SimpleClick and AdaptiveClick.

    Args:
        key: Random key.
        target: [h w] True on the target object; an empty target gets no positive click.
        others: [h w] True on objects other than the target.
        valid: [h w] False where no click may lie.
        num_slots: Number of click slots k of the result, with room for the clicks of
            later rounds. Clicks beyond it are dropped, negative ones first.
        max_per_label: Maximum number of positive and of negative clicks.

    Returns:
        Clicks of one example in whole pixels, the positive ones first.
    """
    count_key, positive_key, negative_key = jax.random.split(key, 3)
    # 1. How many clicks of each label.
    num_positive, num_negative = _sample_counts(count_key, max_per_label=max_per_label)
    # 2. Where they lie; always the maximum number, so that shapes are static.
    target = target & valid
    positive_yx, positive_found = _sample_positive_yx(
        positive_key, target, num=max_per_label
    )
    negative_yx, negative_found = _sample_negative_yx(
        negative_key, target, others & valid, valid, num=max_per_label
    )
    # 3. Label the sampled number of clicks, leave the rest empty, and pack the slots.
    slots = jnp.arange(max_per_label)
    uses_positive = positive_found & (slots < num_positive)
    uses_negative = negative_found & (slots < num_negative)
    labels = [
        jnp.where(uses_positive, POSITIVE, EMPTY),
        jnp.where(uses_negative, NEGATIVE, EMPTY),
    ]
    return _pack_slots(
        jnp.concatenate([positive_yx, negative_yx]),
        jnp.concatenate(labels),
        num_slots=num_slots,
    )


def border_band(target: Bool[Array, "h w"]) -> Bool[Array, "h w"]:
    """Return the pixels around an object, up to ceil(0.1 sqrt(area)) pixels away.

    Args:
        target: [h w] True on the object.
    """
    area = target.sum(dtype=int)
    # The smallest n with 0.1 sqrt(area) <= n is the smallest with area <= 100 n^2, which
    # needs whole numbers only.
    max_radius = math.ceil(BAND_WIDTH * math.sqrt(target.size))
    area_of_radius = (jnp.arange(max_radius + 1) * round(1 / BAND_WIDTH)) ** 2
    # Counted, because a binary search is a loop on the device.
    radius = jnp.searchsorted(area_of_radius, area, side="left", method="compare_all")
    return dilate(target, radius) & ~target


def _sample_counts(
    key: PRNGKeyArray, *, max_per_label: int
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """Sample the numbers of positive (1 or more) and negative clicks (0 or more)."""
    positive_key, negative_key = jax.random.split(key)
    logits = jnp.arange(max_per_label + 1) * math.log(COUNT_DECAY)
    num_positive = 1 + jax.random.categorical(positive_key, logits[:-1])
    num_negative = jax.random.categorical(negative_key, logits)
    return num_positive, num_negative


def _sample_positive_yx(
    key: PRNGKeyArray, target: Bool[Array, "h w"], *, num: int
) -> tuple[Int[Array, "n 2"], Bool[Array, ""]]:
    """Sample pixels on the target, in most cases away from its border."""
    erode_key, pixel_key = jax.random.split(key)
    eroded = ~dilate(~target, EROSION_RADIUS)
    use_eroded = jax.random.bernoulli(erode_key, EROSION_PROB) & eroded.any()
    return sample_pixels(pixel_key, jnp.where(use_eroded, eroded, target), num=num)


def _sample_negative_yx(
    key: PRNGKeyArray,
    target: Bool[Array, "h w"],
    others: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    *,
    num: int,
) -> tuple[Int[Array, "n 2"], Bool[Array, " n"]]:
    """Sample pixels off the target: a source for each click, then a pixel of it."""
    source_key, pixel_key = jax.random.split(key)
    # 1. The three sources; without other objects the second one is the background.
    background = valid & ~target
    others = others & ~target
    sources = jnp.stack(
        [
            background,
            jnp.where(others.any(), others, background),
            border_band(target) & valid,
        ]
    )
    # 2. Pixels of all sources for all clicks, then the source of each click.
    keys = jax.random.split(pixel_key, len(sources))
    source_yx, found = jax.vmap(
        lambda key, source: sample_pixels(key, source, num=num)
    )(keys, sources)
    probabilities = [BACKGROUND_PROB, OTHER_OBJECTS_PROB, BORDER_BAND_PROB]
    source = jax.random.categorical(
        source_key, jnp.log(jnp.array(probabilities)), shape=(num,)
    )
    return source_yx[source, jnp.arange(num)], found[source]


def _pack_slots(
    yx: Int[Array, "n 2"], label: Int[Array, " n"], *, num_slots: int
) -> Clicks:
    """Move empty slots to the end; truncate or pad to `num_slots`."""
    order = jnp.argsort(label == EMPTY, stable=True)[:num_slots]
    num_missing = num_slots - len(order)
    return Clicks(
        yx=jnp.pad(yx[order].astype(jnp.float32), ((0, num_missing), (0, 0))),
        label=jnp.pad(label[order], (0, num_missing), constant_values=EMPTY),
    )
