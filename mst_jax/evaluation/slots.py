"""Run many sessions side by side in the slots of a batch, inside jitted programs.

One compiled program runs until a session ends in one of the slots; then the caller may
give that slot to another object. The sessions do not influence each other.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, Num, UInt8

from mst_jax.evaluation.protocol import (
    EvaluationProtocol,
    empty_prediction,
    make_add_click_fn,
    make_predict_fn,
)
from mst_jax.interaction.rollout import rollout, start_rollout
from mst_jax.interaction.zoom_predict import ClickModelFn
from mst_jax.structs import EMPTY, Clicks, Rollout, pytree_dataclass

# Axis of the device mesh along which the slots are sharded.
SLOT_AXIS = "slot"

SHARDED, REPLICATED = PartitionSpec(SLOT_AXIS), PartitionSpec()


@pytree_dataclass
class Slots:
    """Running sessions, one in each slot; free slots hold arbitrary values.

    Attributes:
        image: [b h w 3] uint8 RGB; each image fills the upper left corner.
        size: [b 2] height and width without padding.
        target: [b h w] True on the target object.
        valid: [b h w] True on pixels that count; False on padding.
        seed: [b] seeds of the simulated users.
        rollout: [b] clicks, prediction and IoUs so far.
    """

    image: Num[Array, "b h w 3"]
    size: Int[Array, "b 2"]
    target: Bool[Array, "b h w"]
    valid: Bool[Array, "b h w"]
    seed: Int[Array, " b"]
    rollout: Rollout


def empty_slots(
    num_slots: int, padded_size: tuple[int, int], protocol: EvaluationProtocol
) -> Slots:
    """Create slots without an object.

    Args:
        num_slots: Number of slots, b.
        padded_size: Height and width of the padded images in pixels.
        protocol: Options of the sessions.
    """
    batch_shape = (num_slots, *padded_size)
    clicks = Clicks.empty(num_slots, num_slots=protocol.max_clicks)
    return Slots(
        image=jnp.zeros((*batch_shape, 3), jnp.uint8),
        size=jnp.ones((num_slots, 2), jnp.int32),
        target=jnp.zeros(batch_shape, bool),
        valid=jnp.zeros(batch_shape, bool),
        seed=jnp.zeros(num_slots, jnp.int32),
        # -1 boxes, zero IoUs and no rounds: nothing has been predicted.
        rollout=start_rollout(clicks, *padded_size, max_rounds=protocol.max_clicks),
    )


def start_session(
    slots: Slots,
    slot_index: Int[Array, ""],
    image: UInt8[Array, "h w 3"],
    size: Int[Array, " 2"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    seed: Int[Array, ""],
    *,
    protocol: EvaluationProtocol,
    device_mesh: Mesh,
) -> Slots:
    """Put an object into a slot and add the user's first click; to be jitted.

    Args:
        slots: [b] slots, sharded over the mesh.
        slot_index: Index of the slot among those of all devices.
        image: [h w 3] RGB of the padded size; the image fills the upper left corner.
        size: [2] height and width without padding.
        target: [h w] True on the target object.
        valid: [h w] True on pixels that count; False on padding.
        seed: Seed of the simulated user.
        protocol: Options of the sessions.
        device_mesh: Devices with the axis `SLOT_AXIS`.

    Returns:
        The slots with the new session; the other slots are unchanged.
    """
    # 1. A batch of one: the first click is computed from an all-zero prediction.
    height, width = target.shape
    empty_batch = empty_slots(1, (height, width), protocol)
    add_click = make_add_click_fn(
        target[None], valid[None], seed[None], protocol=protocol
    )
    no_prediction = empty_prediction((1, *target.shape))
    clicks = add_click(no_prediction, empty_batch.rollout.clicks, jnp.int32(0))
    start_state = dataclasses.replace(empty_batch.rollout, clicks=clicks)
    new_session = Slots(
        image[None], size[None], target[None], valid[None], seed[None], start_state
    )

    # 2. Every device writes into its own slots; only the one that has the slot changes.
    @functools.partial(
        jax.shard_map,
        mesh=device_mesh,
        in_specs=(SHARDED, REPLICATED, REPLICATED),
        out_specs=SHARDED,
        check_vma=False,
    )
    def write_on_each_device(
        slots: Slots, new_session: Slots, slot_index: Array
    ) -> Slots:
        num_slots = slots.seed.shape[0]
        local_index = slot_index - jax.lax.axis_index(SLOT_AXIS) * num_slots
        # A device without the slot rewrites its first or last one unchanged.
        is_local = (local_index >= 0) & (local_index < num_slots)
        write_index = jnp.clip(local_index, 0, num_slots - 1)

        def write_slot(slot_values: Array, session_values: Array) -> Array:
            current_values = jax.lax.dynamic_slice_in_dim(slot_values, write_index, 1)
            session_values = jnp.where(is_local, session_values, current_values)
            return jax.lax.dynamic_update_slice_in_dim(
                slot_values, session_values, write_index, 0
            )

        # All leaves, the logs of the rollout included, have the slots as first axis.
        return jax.tree.map(write_slot, slots, new_session)

    return write_on_each_device(slots, new_session, slot_index)


def advance_slots(
    model: ClickModelFn,
    slots: Slots,
    is_occupied: Bool[Array, " b"],
    stop_iou: Float[Array, ""],
    *,
    protocol: EvaluationProtocol,
    device_mesh: Mesh,
) -> Slots:
    """Continue the sessions until one of them ends on each device; to be jitted.

    Args:
        model: Model as a pytree, see `zoom_predict.ClickModelFn`.
        slots: [b] slots, sharded over the mesh.
        is_occupied: [b] True on slots with a session.
        stop_iou: IoU at which a session ends; above 1 = never.
        protocol: Options of the sessions.
        device_mesh: Devices with the axis `SLOT_AXIS`.
    """

    # Each device has a loop of its own and stops without waiting for the others.
    @functools.partial(
        jax.shard_map,
        mesh=device_mesh,
        in_specs=(REPLICATED, SHARDED, SHARDED, REPLICATED),
        out_specs=SHARDED,
        check_vma=False,
    )
    def advance_each_device(
        model: ClickModelFn, slots: Slots, is_occupied: Array, stop_iou: Array
    ) -> Slots:
        start_state = _finish_free_slots(slots.rollout, is_occupied)
        # Rounds until the first session of this device reaches the last click.
        rounds_left = jnp.where(
            is_occupied,
            protocol.max_clicks - start_state.num_rounds,
            protocol.max_clicks,
        )
        end_state = rollout(
            make_predict_fn(model, slots.image, slots.size, protocol=protocol),
            make_add_click_fn(slots.target, slots.valid, slots.seed, protocol=protocol),
            start_state,
            slots.target,
            slots.valid,
            num_rounds=jnp.where(is_occupied.any(), rounds_left.min(), 0),
            stop_iou=stop_iou,
            stop_at_next_finished=True,
        )
        return dataclasses.replace(slots, rollout=end_state)

    return advance_each_device(model, slots, is_occupied, stop_iou)


def _finish_free_slots(state: Rollout, is_occupied: Bool[Array, " b"]) -> Rollout:
    """Mark free slots as finished: they have no click and do not change."""
    click_labels = jnp.where(is_occupied[:, None], state.clicks.label, EMPTY)
    # A logged round with an infinite IoU counts as finished for every `stop_iou`.
    return dataclasses.replace(
        state,
        clicks=Clicks(yx=state.clicks.yx, label=click_labels),
        num_rounds=jnp.where(is_occupied, state.num_rounds, 1),
        ious=jnp.where(is_occupied[:, None], state.ious, jnp.inf),
    )
