"""The clicks with which a training example begins, drawn from its target."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from mst_jax.clicks.sample_pixels import draw_pixels
from mst_jax.geometry.distance import dilate
from mst_jax.structs import EMPTY, NEGATIVE, POSITIVE, Clicks

RATIO = 0.8  # of the chances of one click more and one less
ERODED = 0.9  # chance that the positive clicks keep away from the border
ERODE_BY = 3  # pixels: three times 3x3
BACKGROUND, OTHERS, BAND = 0.1, 0.4, 0.5  # chances of a negative click's source
BAND_WIDTH = 0.1  # of the square root of the object's area


def first_clicks(
    key: PRNGKeyArray,
    target: Bool[Array, "h w"],
    others: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    *,
    num_slots: int,
    max_each: int = 24,
) -> Clicks:
    """Draws several positive and negative clicks for one example.

    1 to `max_each` positive and 0 to `max_each` negative ones, each more by a factor
    0.8 less likely. Positive clicks lie on the target, with probability 0.9 on the
    target eroded three times by 3x3 pixels. Each negative click comes from the
    background (0.1), from other objects (0.4; from the background where there are none)
    or from the band around the target (0.5; see `border_band`). A source without pixels
    gives no click.

    Source: multi-point sampler of RITM, Sofiiuk et al., ICIP 2022, as used by MST,
    SimpleClick and AdaptiveClick.

    Args:
        key: random key.
        target: [h w] the wanted object; without a pixel it gets no positive click.
        others: [h w] objects that are not the wanted one.
        valid: [h w] False where no click may lie.
        num_slots: k of the result; leave room for the clicks of later rounds. Clicks
            beyond it are dropped, the negative ones first.
        max_each: largest number of clicks of either kind.

    Returns:
        Clicks of one example in whole pixels, the positive ones first.
    """
    count_key, positive_key, negative_key = jax.random.split(key, 3)
    num_positive, num_negative = _draw_counts(count_key, max_each=max_each)
    target = target & valid
    slots = jnp.arange(max_each)
    on_yx, on_found = _positive_places(positive_key, target, num=max_each)
    off_yx, off_found = _negative_places(
        negative_key, target, others & valid, valid, num=max_each
    )
    return _packed(
        jnp.concatenate([on_yx, off_yx]),
        jnp.concatenate(
            [
                jnp.where(on_found & (slots < num_positive), POSITIVE, EMPTY),
                jnp.where(off_found & (slots < num_negative), NEGATIVE, EMPTY),
            ]
        ),
        num_slots=num_slots,
    )


def border_band(target: Bool[Array, "h w"]) -> Bool[Array, "h w"]:
    """The pixels around an object, up to ceil(0.1 sqrt(area)) 3x3 dilations away."""
    area = target.sum(dtype=int)
    # 0.1 sqrt(area) <= n is asked as area <= 100 n^2, in whole numbers.
    widest = math.ceil(BAND_WIDTH * math.sqrt(target.size))
    squares = (jnp.arange(widest + 1) * round(1 / BAND_WIDTH)) ** 2
    radius = jnp.searchsorted(squares, area, side="left")
    return dilate(target, radius) & ~target


def _draw_counts(
    key: PRNGKeyArray, *, max_each: int
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """Draws the numbers of positive (1 or more) and of negative clicks (0 or more)."""
    positive_key, negative_key = jax.random.split(key)
    logits = jnp.arange(max_each + 1) * math.log(RATIO)
    num_positive = 1 + jax.random.categorical(positive_key, logits[:-1])
    num_negative = jax.random.categorical(negative_key, logits)
    return num_positive, num_negative


def _positive_places(
    key: PRNGKeyArray, target: Bool[Array, "h w"], *, num: int
) -> tuple[Int[Array, "n 2"], Bool[Array, ""]]:
    """Draws places on the target, mostly away from its border."""
    erode_key, draw_key = jax.random.split(key)
    eroded = ~dilate(~target, ERODE_BY)
    is_eroded = jax.random.bernoulli(erode_key, ERODED) & eroded.any()
    return draw_pixels(draw_key, jnp.where(is_eroded, eroded, target), num=num)


def _negative_places(
    key: PRNGKeyArray,
    target: Bool[Array, "h w"],
    others: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    *,
    num: int,
) -> tuple[Int[Array, "n 2"], Bool[Array, " n"]]:
    """Draws places off the target: a source for each, then a pixel of that source."""
    source_key, draw_key = jax.random.split(key)
    background = valid & ~target
    others = others & ~target
    sources = jnp.stack(
        [
            background,
            jnp.where(others.any(), others, background),
            border_band(target) & valid,
        ]
    )
    keys = jax.random.split(draw_key, len(sources))
    places, found = jax.vmap(lambda key, source: draw_pixels(key, source, num=num))(
        keys, sources
    )
    logits = jnp.log(jnp.array([BACKGROUND, OTHERS, BAND]))
    source = jax.random.categorical(source_key, logits, shape=(num,))
    return places[source, jnp.arange(num)], found[source]


def _packed(
    yx: Int[Array, "n 2"], label: Int[Array, " n"], *, num_slots: int
) -> Clicks:
    """Moves the empty slots to the end and cuts or fills up to `num_slots`."""
    order = jnp.argsort(label == EMPTY, stable=True)[:num_slots]
    missing = num_slots - len(order)
    return Clicks(
        yx=jnp.pad(yx[order].astype(jnp.float32), ((0, missing), (0, 0))),
        label=jnp.pad(label[order], (0, missing), constant_values=EMPTY),
    )
