"""The published evaluation: a simulated user clicks until the mask is good.

How it is played is a `Protocol`; `play` is the program that plays it, for a batch.
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.clicks.next_click import evaluation_click
from mst_jax.clicks.noisy_clicks import careless_click
from mst_jax.interaction.refine import refine
from mst_jax.interaction.rollout import Answer, Predict, rollout, start_rollout
from mst_jax.interaction.zoom_predict import Model, predict
from mst_jax.structs import Clicks, Rollout

LITERATURE = {"zoom": 448, "zoom_min_side": 200, "mirror": True, "drop_outside": False}
"""The click literature's view: f-BRS, RITM, SimpleClick, AdaptiveClick."""

RELEASED_MST = LITERATURE | {"zoom_min_side": 20, "drop_outside": True}
"""As MST's released program has it."""

DAVIS_ZOOM = 672


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How sessions are played; the defaults are the click literature's.

    The published programs have a second look after the first prediction, which never
    fires in these settings, because the first region is the whole picture; nor does ours.

    Attributes:
        max_clicks: the session ends after so many clicks.
        zoom: side of the square that the network sees; None: it sees the picture.
        zoom_min_side: least side of what is zoomed in on, in pixels.
        mirror: averages with the mirrored picture.
        drop_outside: clicks outside the region are not shown to the network.
        more_looks: further looks at the same clicks, see `interaction.refine`.
        look_clicks: only the first so many clicks are looked at again; None: all.
        least_change: no further look after one that changed no more pixels; None: all
            looks are made.
        spread: how far the user's clicks fall from the best place, see `clicks.noisy_clicks`.
        first: the first click falls on the "best" place or "anywhere" on the object.
    """

    max_clicks: int = 20
    zoom: int | None = 448
    zoom_min_side: int = 200
    mirror: bool = True
    drop_outside: bool = False
    more_looks: int = 0
    look_clicks: int | None = None
    least_change: int | None = None
    spread: float = 0.0
    first: str = "best"

    def __post_init__(self) -> None:
        for name, least in (
            *(("max_clicks", 1), ("zoom", 1), ("zoom_min_side", 1)),
            *(
                ("more_looks", 0),
                ("look_clicks", 0),
                ("least_change", 0),
                ("spread", 0),
            ),
        ):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ValueError(f"{name} is {value}, expected {least} or more")
        if self.first not in ("best", "anywhere"):
            raise ValueError(f"first is {self.first!r}, expected 'best' or 'anywhere'")

    @property
    def is_ideal(self) -> bool:
        """Does the user always click on the best place?"""
        return self.spread == 0 and self.first == "best"


def published_view(name: Literal["literature", "mst"], dataset: str) -> dict:
    """How a published evaluation looks at a data set: arguments for `Protocol`."""
    view = {"literature": LITERATURE, "mst": RELEASED_MST}[name]
    return view | ({"zoom": DAVIS_ZOOM} if dataset.startswith("davis") else {})


def session_seed(seed: int, object_id: str) -> int:
    """The seed of one session: the same whatever is played before or beside it."""
    return zlib.crc32(f"{seed}/{object_id}".encode()) & 0x7FFFFFFF


def play(
    model: Model,
    image: UInt8[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    target: Bool[Array, "b h w"],
    valid: Bool[Array, "b h w"],
    seed: Int[Array, " b"],
    stop_iou: Float[Array, ""] | float,
    *,
    protocol: Protocol,
) -> Rollout:
    """Plays the sessions of a batch of padded pictures, inside jit.

    Args:
        model: `(image [b h w 3] 0 to 1, clicks, previous [b h w]) -> logits [b h w]`.
        image: [b h w 3] RGB; each picture in the upper left corner.
        size: [b 2] height and width without padding.
        target: [b h w] True on the wanted object.
        valid: [b h w] pixels that count; False on padding.
        seed: [b] of users who draw their clicks, see `session_seed`.
        stop_iou: a session ends when this overlap is reached; above 1: never.
        protocol: everything else.
    """
    num_examples, height, width = target.shape
    ask = make_ask(model, image, size, protocol=protocol)
    answer = make_answer(target, valid, seed, protocol=protocol)
    no_click = Clicks.empty(num_examples, num_slots=protocol.max_clicks)
    first = answer(nothing_predicted(target.shape), no_click, 0)
    num_rounds = protocol.max_clicks
    start = start_rollout(first, height, width, max_rounds=num_rounds)
    return rollout(
        ask, answer, start, target, valid, num_rounds=num_rounds, stop_iou=stop_iou
    )


def nothing_predicted(shape: tuple[int, ...]) -> Float[Array, "b h w"]:
    """Zeros that the compiler takes for unknown: it is slow at folding distances."""
    return jax.lax.optimization_barrier(jnp.zeros(shape))


def make_ask(
    model: Model,
    image: UInt8[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    *,
    protocol: Protocol,
) -> Predict:
    """The model's side of the sessions; see `play`."""
    image = image.astype(jnp.float32) / 255.0
    view = {
        name: getattr(protocol, name)
        for name in ("zoom", "zoom_min_side", "mirror", "drop_outside")
    }

    def look(clicks: Clicks, prob: Array, region: Array) -> tuple[Array, Array]:
        return predict(model, image, size, clicks, prob, region, **view)

    if not protocol.more_looks:
        return look
    limit = protocol.look_clicks
    return functools.partial(
        refine,
        look,
        num_more=protocol.more_looks,
        first_clicks=protocol.max_clicks if limit is None else limit,
        least_change=protocol.least_change,
    )


def make_answer(
    target: Bool[Array, "b h w"],
    valid: Bool[Array, "b h w"],
    seed: Int[Array, " b"],
    *,
    protocol: Protocol,
) -> Answer:
    """The user's side of the sessions; see `play`."""

    def exact(prob: Array, clicks: Clicks, number: Array | int) -> Clicks:
        click = jax.vmap(evaluation_click)
        return clicks.append(*click(prob, target, valid, clicks))

    def careless(prob: Array, clicks: Clicks, number: Array | int) -> Clicks:
        keys = jax.vmap(_key_of_click)(seed, clicks.num_clicks)
        click = jax.vmap(_habit_of(protocol))
        return clicks.append(*click(keys, prob, target, valid, clicks))

    return exact if protocol.is_ideal else careless


def _key_of_click(seed: Int[Array, ""], number: Int[Array, ""]) -> Array:
    """A key for each click of each session, whatever was drawn before."""
    return jax.random.fold_in(jax.random.key(seed), number)


def _habit_of(protocol: Protocol) -> Callable[..., tuple[Array, Array]]:
    first_anywhere = protocol.first == "anywhere"
    return functools.partial(
        careless_click, spread=protocol.spread, first_anywhere=first_anywhere
    )
