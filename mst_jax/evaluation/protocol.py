"""The published evaluation: a simulated user clicks until the mask is good.

A whole session, zoom and clicks and distances included, is one compiled program.
"""

import dataclasses
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.clicks.next_click import evaluation_click
from mst_jax.interaction.bucket import pad, padded_size
from mst_jax.interaction.predict import Model, as_tree, predict
from mst_jax.interaction.rollout import rollout, start_rollout
from mst_jax.structs import Clicks, Rollout


@dataclasses.dataclass(frozen=True)
class Session:
    """What happened while one object was clicked, n clicks in all.

    Attributes:
        clicks: [n 3] row, column, and 1 = positive or 0 = negative.
        ious: [n] overlap with the target after each click, 0 to 1.
        rois: [n 4] what the network saw after each click: top, bottom, left, right,
            inclusive; -1 without zoom.
        prob: [h w] last probability, float32.
        seconds: per click: running the compiled program and fetching its result.
    """

    clicks: Int[np.ndarray, "n 3"]
    ious: Float[np.ndarray, " n"]
    rois: Int[np.ndarray, "n 4"]
    prob: Float[np.ndarray, "h w"]
    seconds: float


def simulate(
    model: Model,
    image_uint8: np.ndarray,
    target: np.ndarray,
    valid: np.ndarray | None = None,
    *,
    max_clicks: int = 20,
    stop_iou: float = 1.01,
    zoom: int | None = 448,
    zoom_min_side: int = 200,
    mirror: bool = True,
) -> Session:
    """Lets the evaluation's user click one object.

    The program is compiled once for each model and size of picture (sizes are rounded
    up, see `padded_size`) and kept for the next call. A model that JAX knows as a tree
    may come with other parameters without being compiled again.

    Args:
        model: `(image [b h w 3] 0 to 1, clicks, previous [b h w]) -> logits [b h w]`.
        image_uint8: [h w 3] RGB.
        target: [h w] True on the wanted object.
        valid: [h w] False on pixels that do not count; None: all count.
        max_clicks: the session ends after so many clicks,
        stop_iou: or when this overlap is reached; above 1: never.
        zoom: side of the square that the network sees; None: it sees the picture.
        zoom_min_side: least side of what is zoomed in on, in pixels.
        mirror: averages with the mirrored picture.

    Raises:
        ValueError: a picture that is not uint8 [h w 3], masks of another size, an empty
            target.
    """
    target, valid = _checked(image_uint8, target, valid)
    height, width = target.shape
    padded = padded_size(height, width, zoom=zoom)
    pictures = [pad(x, padded) for x in (image_uint8, target, valid)]
    settings = dict(
        max_clicks=max_clicks, zoom=zoom, zoom_min_side=zoom_min_side, mirror=mirror
    )
    size = np.array([[height, width]], np.int32)
    arguments = (as_tree(model), pictures[0], size, *pictures[1:])
    arguments = jax.device_put((*arguments, np.float32(stop_iou)))
    leaves, tree = jax.tree.flatten(arguments)
    run = _compiled(tree, tuple(map(_description, leaves)), **settings)
    begin = time.perf_counter()
    end = jax.device_get(run(*arguments))
    seconds = time.perf_counter() - begin
    return _session(end, height, width, seconds=seconds)


def play(
    model: Model,
    image: UInt8[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    target: Bool[Array, "b h w"],
    valid: Bool[Array, "b h w"],
    stop_iou: Float[Array, ""] | float,
    *,
    max_clicks: int,
    zoom: int | None,
    zoom_min_side: int,
    mirror: bool,
) -> Rollout:
    """Plays the sessions of a batch of padded pictures, inside jit.

    Args:
        model: see `simulate`.
        image: [b h w 3] RGB; each picture in the upper left corner.
        size: [b 2] height and width without padding.
        target: [b h w] True on the wanted object.
        valid: [b h w] pixels that count; False on padding.
        stop_iou: see `simulate`; may be traced.
        max_clicks: see `simulate`.
        zoom: see `simulate`.
        zoom_min_side: see `simulate`.
        mirror: see `simulate`.
    """
    num_examples, height, width = target.shape
    image = image.astype(jnp.float32) / 255.0

    def ask(clicks: Clicks, prob: Array, region: Array) -> tuple[Array, Array]:
        kwargs = dict(zoom=zoom, zoom_min_side=zoom_min_side, mirror=mirror)
        return predict(model, image, size, clicks, prob, region, **kwargs)

    def answer(prob: Array, clicks: Clicks, number: Array | int) -> Clicks:
        click = jax.vmap(evaluation_click)
        return clicks.append(*click(prob, target, valid, clicks))

    no_click = Clicks.empty(num_examples, num_slots=max_clicks)
    first = answer(jnp.zeros(target.shape), no_click, 0)
    start = start_rollout(first, height, width, max_rounds=max_clicks)
    return rollout(
        ask, answer, start, target, valid, num_rounds=max_clicks, stop_iou=stop_iou
    )


@functools.lru_cache(maxsize=64)
def _compiled(
    tree: jax.tree_util.PyTreeDef,
    leaves: tuple[jax.ShapeDtypeStruct, ...],
    **settings: int | bool | None,
) -> jax.stages.Compiled:
    """Compiles `play` for arguments of these shapes, apart from running it."""
    run = jax.jit(functools.partial(play, **settings))
    return run.lower(*jax.tree.unflatten(tree, leaves)).compile()


def _description(x: Array) -> jax.ShapeDtypeStruct:
    """Returns all that the compiler needs to know of an array."""
    return jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=x.sharding, weak_type=x.weak_type
    )


def _session(end: Rollout, height: int, width: int, *, seconds: float) -> Session:
    """Takes the only example of a batch and leaves the empty slots out."""
    num = int(end.num_rounds[0])
    clicks = np.column_stack([end.clicks.yx[0, :num], end.clicks.label[0, :num]])
    return Session(
        clicks=clicks.astype(np.int32),
        ious=end.ious[0, :num],
        rois=end.regions[0, :num],
        prob=end.prob[0, :height, :width],
        seconds=seconds / num,
    )


def _checked(
    image: np.ndarray, target: np.ndarray, valid: np.ndarray | None
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Returns bool masks; raises ValueError for what cannot be evaluated."""
    shape, kind = np.shape(image), getattr(image, "dtype", type(image).__name__)
    if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(
            f"image is {kind} {list(shape)}, expected uint8 [h w 3]; "
            "read it as RGB from 0 to 255"
        )
    valid = np.ones(shape[:2], bool) if valid is None else valid
    for name, mask in (("target", target), ("valid", valid)):
        if np.shape(mask) != shape[:2]:
            raise ValueError(
                f"{name} is {list(np.shape(mask))}, expected {list(shape[:2])} like the "
                "image; resize one to the other"
            )
    target, valid = np.asarray(target) != 0, np.asarray(valid) != 0
    if not (target & valid).any():
        raise ValueError(
            "target has no valid pixel, expected an object; leave this example out"
        )
    return target, valid
