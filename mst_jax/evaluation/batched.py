"""Simulate sessions of many objects side by side, on all devices.

Images are padded to a few sizes. All images of one padded size share a `SlotPool`. A slot
whose session has ended takes the next object, so sessions that end early do not make the
others wait.
"""

import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator, Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Float, Int

from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation.ahead_of_time import compile_ahead_of_time
from mst_jax.evaluation.protocol import EvaluationProtocol, session_seed
from mst_jax.evaluation.simulation import (
    DEFAULT_PROTOCOL,
    NEVER_STOP,
    SimulatedSession,
    check_masks,
    click_rows,
)
from mst_jax.evaluation.slots import (
    REPLICATED,
    SHARDED,
    SLOT_AXIS,
    advance_slots,
    empty_slots,
    start_session,
)
from mst_jax.interaction.host_arrays import copy_host_arrays
from mst_jax.interaction.padding import pad_to, padded_size
from mst_jax.interaction.zoom_predict import ClickModelFn, as_pytree

EndedSession = tuple[EvaluationTarget, SimulatedSession]

# The object in a slot and the seed of its simulated user.
SlotContent = tuple[EvaluationTarget, int]


def simulate_batched(
    model: ClickModelFn,
    targets: Iterable[EvaluationTarget],
    *,
    batch_size: int = 8,
    stop_iou: float = NEVER_STOP,
    seed: int = 0,
    protocol: EvaluationProtocol = DEFAULT_PROTOCOL,
    devices: Sequence[jax.Device] | None = None,  # pyright: ignore[reportInvalidTypeForm]
) -> Iterator[EndedSession]:
    """Simulate a session for each object; each equals the session of `simulate`.

    Args:
        model: `(image [b h w 3] 0 to 1, clicks, prev_mask [b h w]) -> logits [b h w]`.
        targets: Objects to click; the next one is read when a slot is free.
        batch_size: Number of slots on all devices together; rounded up to a multiple of
            the number of devices.
        stop_iou: IoU at which a session ends; above 1 = never.
        seed: Seed of users with random clicks; each object has its own seed, see
            `session_seed`.
        protocol: All other options; the default is the click literature's.
        devices: Devices that share the slots; None = all of this process.

    Yields:
        Each object with its session, in the order in which the sessions end. `seconds` is
        the slot's share of the time in which the programs ran.

    Raises:
        ValueError: An object cannot be evaluated, see `simulate`; names the object.
    """
    devices = jax.local_devices() if devices is None else list(devices)
    # 1. One pool for each padded size; all of them share the model on the devices.
    device_mesh = Mesh(np.array(devices), (SLOT_AXIS,))
    replicated_model = jax.device_put(
        as_pytree(model), NamedSharding(device_mesh, REPLICATED)
    )
    make_pool = functools.partial(
        SlotPool,
        replicated_model,
        device_mesh=device_mesh,
        num_slots=-(-batch_size // len(devices)) * len(devices),
        stop_iou=stop_iou,
        protocol=protocol,
    )
    slot_pools: dict[tuple[int, int], SlotPool] = {}
    # 2. Fill the slots; whenever a pool is full, run it until a slot is free again.
    for target in targets:
        size = padded_size(*target.target.shape, zoom_size=protocol.zoom.size)
        slot_pool = slot_pools.get(size) or slot_pools.setdefault(size, make_pool(size))
        slot_pool.add_target(target, seed=session_seed(seed, target.id))
        if slot_pool.is_full:
            yield from slot_pool.run_until_session_ends()
    # 3. No more targets: run the pools to their ends. The largest images come first, so
    # that smaller ones can take their free slots.
    by_area = sorted(slot_pools.values(), key=lambda slot_pool: -slot_pool.num_pixels)
    yield from _finish_sessions(by_area)


def _finish_sessions(slot_pools: "list[SlotPool]") -> Iterator[EndedSession]:
    """Finish all sessions; free slots take objects that wait in smaller pools."""
    for index, slot_pool in enumerate(slot_pools):
        while slot_pool.has_sessions:
            for smaller_pool in slot_pools[index + 1 :]:
                slot_pool.steal_waiting_targets(smaller_pool)
            yield from slot_pool.run_until_session_ends()


@dataclasses.dataclass(frozen=True)
class _SlotLogs:
    """Logs of all slots on the host; b slots, t rounds, k click slots."""

    num_rounds: Int[np.ndarray, " b"]
    ious: Float[np.ndarray, "b t"]
    rois: Int[np.ndarray, "b t 4"]
    click_yx: Float[np.ndarray, "b k 2"]
    click_label: Int[np.ndarray, "b k"]


class SlotPool:
    """The batch slots for one padded image size, on the devices of a mesh."""

    def __init__(
        self,
        model: ClickModelFn,
        size: tuple[int, int],
        *,
        device_mesh: Mesh,
        num_slots: int,
        stop_iou: float,
        protocol: EvaluationProtocol,
    ) -> None:
        """Create a pool of free slots.

        Args:
            model: Model as a pytree, replicated over the mesh.
            size: Height and width of the padded images in pixels.
            device_mesh: Devices with the axis `SLOT_AXIS`.
            num_slots: Number of slots; a multiple of the number of devices.
            stop_iou: IoU at which a session ends; above 1 = never.
            protocol: Options of the sessions.
        """
        self._model, self._size, self._mesh = model, size, device_mesh
        self._stop_iou, self._protocol = stop_iou, protocol
        self._contents: list[SlotContent | None] = [None] * num_slots
        self._num_rounds = np.zeros(num_slots, int)
        self._seconds = np.zeros(num_slots)
        self._slots = jax.device_put(
            empty_slots(num_slots, size, protocol), NamedSharding(device_mesh, SHARDED)
        )

    @property
    def num_pixels(self) -> int:
        """Return the number of pixels of a padded image."""
        return self._size[0] * self._size[1]

    @property
    def is_full(self) -> bool:
        """Return whether every slot has an object."""
        return None not in self._contents

    @property
    def has_sessions(self) -> bool:
        """Return whether any slot has an object."""
        return any(self._contents)

    def add_target(self, target: EvaluationTarget, *, seed: int) -> None:
        """Start the session of an object in a free slot.

        Args:
            target: The object.
            seed: Seed of its simulated user.

        Raises:
            ValueError: The object cannot be evaluated, or all slots are occupied.
        """
        try:
            masks = check_masks(target.image, target.target, target.valid)
        except ValueError as error:
            raise ValueError(f"{target.id}: {error}") from None
        # Padding goes to the bottom and the right: clicks keep their coordinates.
        slot_index = self._contents.index(None)
        padded_image, padded_target, padded_valid = (
            pad_to(unpadded, self._size)[0] for unpadded in (target.image, *masks)
        )
        size = np.array(target.target.shape, np.int32)
        session = jax.device_put(
            (
                np.int32(slot_index),
                padded_image,
                size,
                padded_target,
                padded_valid,
                np.int32(seed),
            ),
            NamedSharding(self._mesh, REPLICATED),
        )
        run_program = compile_ahead_of_time(
            start_session,
            self._slots,
            *session,
            donate_argnums=(0,),
            protocol=self._protocol,
            device_mesh=self._mesh,
        )
        # The first click, which this program makes, is part of the session's time.
        start_time = time.perf_counter()
        self._slots = jax.block_until_ready(run_program(self._slots, *session))
        self._seconds[slot_index] = time.perf_counter() - start_time
        # A copy: the session may wait and start again in another pool, and the caller may
        # read the next object into the same memory.
        self._contents[slot_index] = (copy_host_arrays(target), seed)
        self._num_rounds[slot_index] = 0

    def steal_waiting_targets(self, victim_pool: "SlotPool") -> None:
        """Move objects whose sessions have not begun from another pool to free slots.

        Args:
            victim_pool: Pool to take objects from. Without zoom every pool keeps its
                objects, because the network sees the padding.
        """
        if self._protocol.zoom.size is None:
            return
        for slot_index, slot_content in enumerate(victim_pool._contents):
            has_started = victim_pool._num_rounds[slot_index] > 0
            if self.is_full or slot_content is None or has_started:
                continue
            target, seed = slot_content
            # A smaller image fits into a larger padded size, never the reverse.
            if all(np.less_equal(target.target.shape, self._size)):
                victim_pool._contents[slot_index] = None
                self.add_target(target, seed=seed)

    def run_until_session_ends(self) -> list[EndedSession]:
        """Continue until at least one session ends, and return those that ended."""
        # 1. Run the program on all devices.
        is_occupied = np.array([content is not None for content in self._contents])
        slot_sharding = NamedSharding(self._mesh, SHARDED)
        replicated_sharding = NamedSharding(self._mesh, REPLICATED)
        program_arguments = (
            self._model,
            self._slots,
            jax.device_put(is_occupied, slot_sharding),
            jax.device_put(np.float32(self._stop_iou), replicated_sharding),
        )
        run_program = compile_ahead_of_time(
            advance_slots,
            *program_arguments,
            donate_argnums=(1,),
            protocol=self._protocol,
            device_mesh=self._mesh,
        )
        start_time = time.perf_counter()
        self._slots = run_program(*program_arguments)
        slot_logs = self._fetch_logs()
        seconds = time.perf_counter() - start_time
        # 2. Share the time among the sessions by the rounds that each has run.
        new_rounds = np.where(is_occupied, slot_logs.num_rounds - self._num_rounds, 0)
        self._seconds += seconds * new_rounds / new_rounds.sum()
        self._num_rounds = np.where(is_occupied, slot_logs.num_rounds, self._num_rounds)
        # 3. Free the slots whose sessions have ended.
        is_reached = (slot_logs.ious >= self._stop_iou).any(axis=1)
        is_last_click = self._num_rounds >= self._protocol.max_clicks
        is_over = is_occupied & (is_reached | is_last_click)
        ended_slots = np.flatnonzero(is_over).tolist()
        return [self._end_session(slot_index, slot_logs) for slot_index in ended_slots]

    def _fetch_logs(self) -> _SlotLogs:
        """Copy the logs of all slots to the host; the probabilities stay on the device."""
        state = self._slots.rollout
        clicks = (state.clicks.yx, state.clicks.label)
        return _SlotLogs(
            *jax.device_get((state.num_rounds, state.ious, state.rois, *clicks))
        )

    def _end_session(self, slot_index: int, slot_logs: _SlotLogs) -> EndedSession:
        """Free a slot and return its object and session."""
        slot_content = self._contents[slot_index]
        assert slot_content is not None
        target, _ = slot_content
        self._contents[slot_index] = None
        height, width = target.target.shape
        num_clicks = int(slot_logs.num_rounds[slot_index])
        # Only the probabilities of ended sessions are copied to the host.
        prob = np.asarray(self._slots.rollout.prob[slot_index])
        clicks = click_rows(
            slot_logs.click_yx[slot_index], slot_logs.click_label[slot_index]
        )
        session = SimulatedSession(
            clicks=clicks[:num_clicks],
            ious=slot_logs.ious[slot_index, :num_clicks],
            rois=slot_logs.rois[slot_index, :num_clicks],
            prob=prob[:height, :width],
            seconds=self._seconds[slot_index] / num_clicks,
        )
        return target, session
