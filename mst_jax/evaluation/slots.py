"""Lanes: the device's side of many sessions played side by side.

One compiled program plays until a session ends in one of the lanes, then another object
may take the place. What happens in one lane does not depend on the others.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.evaluation.protocol import (
    Protocol,
    make_answer,
    make_ask,
    nothing_predicted,
)
from mst_jax.interaction.rollout import rollout, start_rollout
from mst_jax.interaction.zoom_predict import Model
from mst_jax.structs import EMPTY, Clicks, Lanes, Rollout

SHARDED, COPIED = PartitionSpec("lane"), PartitionSpec()


def no_work(num_lanes: int, size: tuple[int, int], protocol: Protocol) -> Lanes:
    """Lanes without an object."""
    shape = (num_lanes, *size)
    clicks = Clicks.empty(num_lanes, num_slots=protocol.max_clicks)
    return Lanes(
        image=jnp.zeros((*shape, 3), jnp.uint8),
        size=jnp.ones((num_lanes, 2), jnp.int32),
        target=jnp.zeros(shape, bool),
        valid=jnp.zeros(shape, bool),
        seed=jnp.zeros(num_lanes, jnp.int32),
        said=start_rollout(clicks, *size, max_rounds=protocol.max_clicks),
    )


def start_lane(
    lanes: Lanes,
    lane: Int[Array, ""],
    image: UInt8[Array, "h w 3"],
    size: Int[Array, " 2"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    seed: Int[Array, ""],
    *,
    protocol: Protocol,
    mesh: Mesh,
) -> Lanes:
    """Puts an object into a lane and lets the user click for the first time."""
    fresh = no_work(1, target.shape, protocol)
    answer = make_answer(target[None], valid[None], seed[None], protocol=protocol)
    nothing = nothing_predicted((1, *target.shape))
    clicks = answer(nothing, fresh.said.clicks, 0)
    said = dataclasses.replace(fresh.said, clicks=clicks)
    new = Lanes(image[None], size[None], target[None], valid[None], seed[None], said)

    @functools.partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(SHARDED, COPIED, COPIED),
        out_specs=SHARDED,
        check_vma=False,
    )
    def on_each_device(lanes: Lanes, new: Lanes, lane: Array) -> Lanes:
        num_lanes = lanes.seed.shape[0]
        here = lane - jax.lax.axis_index("lane") * num_lanes
        # Where the lane is not, the first or last one is written anew as it is.
        is_here = (here >= 0) & (here < num_lanes)
        place = jnp.clip(here, 0, num_lanes - 1)

        def put(old: Array, new: Array) -> Array:
            kept = jax.lax.dynamic_slice_in_dim(old, place, 1)
            new = jnp.where(is_here, new, kept)
            return jax.lax.dynamic_update_slice_in_dim(old, new, place, 0)

        return jax.tree.map(put, lanes, new)

    return on_each_device(lanes, new, lane)


def advance(
    model: Model,
    lanes: Lanes,
    busy: Bool[Array, " b"],
    stop_iou: Float[Array, ""],
    *,
    protocol: Protocol,
    mesh: Mesh,
) -> Lanes:
    """Plays on, on each device until one of its sessions ends."""

    @functools.partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(COPIED, SHARDED, SHARDED, COPIED),
        out_specs=SHARDED,
        check_vma=False,
    )
    def on_each_device(
        model: Model, lanes: Lanes, busy: Array, stop_iou: Array
    ) -> Lanes:
        said = _resting(lanes.said, busy)
        left = jnp.where(
            busy, protocol.max_clicks - said.num_rounds, protocol.max_clicks
        )
        said = rollout(
            make_ask(model, lanes.image, lanes.size, protocol=protocol),
            make_answer(lanes.target, lanes.valid, lanes.seed, protocol=protocol),
            said,
            lanes.target,
            lanes.valid,
            num_rounds=jnp.where(busy.any(), left.min(), 0),
            stop_iou=stop_iou,
            pause=True,
        )
        return dataclasses.replace(lanes, said=said)

    return on_each_device(model, lanes, busy, stop_iou)


def _resting(said: Rollout, busy: Bool[Array, " b"]) -> Rollout:
    """Marks idle lanes as finished: they have no click and do not change."""
    clicks = Clicks(
        yx=said.clicks.yx, label=jnp.where(busy[:, None], said.clicks.label, EMPTY)
    )
    return dataclasses.replace(
        said,
        clicks=clicks,
        num_rounds=jnp.where(busy, said.num_rounds, 1),
        ious=jnp.where(busy[:, None], said.ious, jnp.inf),
    )
