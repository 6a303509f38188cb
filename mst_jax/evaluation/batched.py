"""Many objects side by side, on all devices.

Pictures are padded to a few sizes; all pictures of a size share a `Pool` of lanes, which
are refilled when they are done, so that an object that is done early costs the others
nothing.
"""

import functools
import time
from collections.abc import Iterable, Iterator, Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Float, Int

from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation.ahead_of_time import compiled
from mst_jax.evaluation.protocol import Protocol, session_seed
from mst_jax.evaluation.simulation import Session, checked_masks, list_clicks
from mst_jax.evaluation.slots import COPIED, SHARDED, advance, no_work, start_lane
from mst_jax.interaction.padding import pad, padded_size
from mst_jax.interaction.zoom_predict import Model, as_tree
from mst_jax.structs import Clicks

Ended = tuple[EvaluationTarget, Session]


def simulate_many(
    model: Model,
    targets: Iterable[EvaluationTarget],
    *,
    num_lanes: int = 8,
    stop_iou: float = 1.01,
    seed: int = 0,
    devices: Sequence[jax.Device] | None = None,
    **settings: int | float | bool | str | None,
) -> Iterator[Ended]:
    """Clicks many objects; each session is the one that `simulate` would have played.

    Args:
        model: `(image [b h w 3] 0 to 1, clicks, previous [b h w]) -> logits [b h w]`.
        targets: the objects, read when a lane is free.
        num_lanes: objects side by side, on all devices together; rounded up so that
            every device has as many.
        stop_iou: a session ends when this overlap is reached; above 1: never.
        seed: of users who draw clicks; each object has its own chance, see
            `session_seed`.
        devices: to share the lanes; None: all of this process.
        settings: of `Protocol`.

    Yields:
        Each object with its session, in the order in which they end. `seconds` is the
        lane's share of the time in which the programs ran.

    Raises:
        ValueError: see `simulate`, with the object's name.
    """
    protocol = Protocol(**settings)
    devices = jax.local_devices() if devices is None else list(devices)
    num_lanes = -(-num_lanes // len(devices)) * len(devices)
    mesh = Mesh(np.array(devices), ("lane",))
    tree = jax.device_put(as_tree(model), NamedSharding(mesh, COPIED))
    make = functools.partial(
        Pool, tree, mesh=mesh, num_lanes=num_lanes, stop_iou=stop_iou, protocol=protocol
    )
    pools: dict[tuple[int, int], Pool] = {}
    for target in targets:
        size = padded_size(*target.target.shape, zoom=protocol.zoom)
        pool = pools.get(size) or pools.setdefault(size, make(size))
        pool.put(target, seed=session_seed(seed, target.id))
        if pool.is_full:
            yield from pool.play()
    yield from _finish(sorted(pools.values(), key=lambda pool: -pool.area))


def _finish(pools: "list[Pool]") -> Iterator[Ended]:
    """Plays what is left; idle lanes take in objects that wait in smaller pools."""
    for number, pool in enumerate(pools):
        while pool.is_busy:
            for other in pools[number + 1 :]:
                pool.take_over(other)
            yield from pool.play()


class Pool:
    """The lanes for one padded size of pictures, on the devices of a mesh."""

    def __init__(
        self,
        model: Model,
        size: tuple[int, int],
        *,
        mesh: Mesh,
        num_lanes: int,
        stop_iou: float,
        protocol: Protocol,
    ) -> None:
        self._model, self._size, self._mesh = model, size, mesh
        self._stop_iou, self._protocol = stop_iou, protocol
        self._work: list[tuple[EvaluationTarget, int] | None] = [None] * num_lanes
        self._played = np.zeros(num_lanes, int)
        self._seconds = np.zeros(num_lanes)
        self._lanes = jax.device_put(
            no_work(num_lanes, size, protocol), NamedSharding(mesh, SHARDED)
        )

    @property
    def area(self) -> int:
        """Pixels of a padded picture."""
        return self._size[0] * self._size[1]

    @property
    def is_full(self) -> bool:
        """Has every lane an object?"""
        return None not in self._work

    @property
    def is_busy(self) -> bool:
        """Has any lane an object?"""
        return any(self._work)

    def put(self, target: EvaluationTarget, *, seed: int) -> None:
        """Starts an object in a free lane; there must be one."""
        try:
            masks = checked_masks(target.image, target.target, target.valid)
        except ValueError as error:
            raise ValueError(f"{target.id}: {error}") from None
        lane = self._work.index(None)
        pictures = [pad(x, self._size)[0] for x in (target.image, *masks)]
        size = np.array(target.target.shape, np.int32)
        given = (np.int32(lane), pictures[0], size, *pictures[1:], np.int32(seed))
        given = jax.device_put(given, NamedSharding(self._mesh, COPIED))
        arguments = (self._lanes, *given)
        settings = {"protocol": self._protocol, "mesh": self._mesh}
        run = compiled(start_lane, *arguments, donated=(0,), **settings)
        begin = time.perf_counter()
        self._lanes = jax.block_until_ready(run(*arguments))
        self._seconds[lane] = time.perf_counter() - begin
        self._work[lane] = (target, seed)
        self._played[lane] = 0

    def take_over(self, other: "Pool") -> None:
        """Takes objects that have not begun from another pool, while lanes are free.

        Without zoom the network sees the padding: then every size stays by itself.
        """
        if self._protocol.zoom is None:
            return
        for lane, work in enumerate(other._work):
            if self.is_full or not work or other._played[lane]:
                continue
            target, seed = work
            if all(np.less_equal(target.target.shape, self._size)):
                other._work[lane] = None
                self.put(target, seed=seed)

    def play(self) -> list[Ended]:
        """Plays until at least one session ends; returns those that did."""
        busy = np.array([work is not None for work in self._work])
        given = (self._lanes, jax.device_put(busy, NamedSharding(self._mesh, SHARDED)))
        stop = jax.device_put(
            np.float32(self._stop_iou), NamedSharding(self._mesh, COPIED)
        )
        arguments = (self._model, *given, stop)
        settings = {"protocol": self._protocol, "mesh": self._mesh}
        run = compiled(advance, *arguments, donated=(1,), **settings)
        begin = time.perf_counter()
        self._lanes = run(*arguments)
        said = self._lanes.said
        log = jax.device_get((said.num_rounds, said.ious, said.regions, said.clicks))
        seconds = time.perf_counter() - begin
        rounds = np.where(busy, log[0] - self._played, 0)
        self._seconds += seconds * rounds / rounds.sum()
        self._played = np.where(busy, log[0], self._played)
        reached = (log[1] >= self._stop_iou).any(axis=1)
        is_over = busy & (reached | (self._played >= self._protocol.max_clicks))
        return [self._end(lane, *log) for lane in np.flatnonzero(is_over).tolist()]

    def _end(
        self,
        lane: int,
        num_rounds: Int[np.ndarray, " b"],
        ious: Float[np.ndarray, "b t"],
        regions: Int[np.ndarray, "b t 4"],
        clicks: Clicks,
    ) -> Ended:
        """Frees a lane whose session is over."""
        target, _ = self._work[lane]
        self._work[lane] = None
        height, width = target.target.shape
        num = int(num_rounds[lane])
        prob = np.asarray(self._lanes.said.prob[lane])
        session = Session(
            clicks=list_clicks(clicks.yx[lane], clicks.label[lane])[:num],
            ious=ious[lane, :num],
            rois=regions[lane, :num],
            prob=prob[:height, :width],
            seconds=self._seconds[lane] / num,
        )
        return target, session
