"""Clicks per second, objects side by side against one by one, and what is not the network.

python benchmarks/evaluation.py base                  # without names: all cases
JAX_NUM_CPU_DEVICES=2 python benchmarks/evaluation.py   # an object on each core
"""

import itertools
import sys
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage
from unit import matrix_product

from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation import simulate, simulate_many
from mst_jax.evaluation.evaluation_task import LANES
from mst_jax.interaction.zoom_predict import Model, as_tree
from mst_jax.models.build import build
from mst_jax.models.load import TrainedModel, shapes_of_params

NANO = dict(size="nano", crop=96, window=0)


class Case(NamedTuple):
    """A model, the objects it meets and how often all of it is timed."""

    model: dict
    side: int
    num_objects: int
    max_clicks: int
    stop_iou: float = 1.01
    repeats: int = 3


CASES = {
    "nano": Case(NANO, side=96, num_objects=8, max_clicks=20),
    "nano, ends at 70 %": Case(NANO, 96, 16, max_clicks=20, stop_iou=0.7),
    "base": Case(dict(size="base", crop=448), 448, 2, max_clicks=2, repeats=1),
}


def draw_objects(num: int) -> list[EvaluationTarget]:
    """Smooth objects on noise, 375x500 or 500x375 pixels as in SBD."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(num):
        shape = (375, 500) if number % 2 else (500, 375)
        target = ndimage.gaussian_filter(rng.normal(size=shape), 15 + 6 * number) > 0.0
        image = rng.integers(0, 100, (*shape, 3)) + 120 * target[..., None]
        every = np.ones(shape, bool)
        found.append(
            EvaluationTarget(str(number), image.astype(np.uint8), target, every)
        )
    return found


class Answering:
    """A model that runs its network and answers with a disk about each click.

    So sessions go on as with a trained model; some end early.
    """

    def __init__(self, network: Model) -> None:
        self.network = network

    def __call__(
        self, image: jax.Array, clicks: object, previous: jax.Array
    ) -> jax.Array:
        """Logits of which nothing but the cost is the network's."""
        height, width = previous.shape[1:]
        row, column = jnp.mgrid[:height, :width].astype(jnp.float32)
        apart = jnp.square(row[None, None] - clicks.yx[..., 0, None, None])
        apart += jnp.square(column[None, None] - clicks.yx[..., 1, None, None])
        near = jnp.exp(-apart / (2 * (0.12 * height) ** 2))
        sign = jnp.where(clicks.label == 1, 9.0, -9.0) * clicks.kept
        logits = (sign[..., None, None] * near).sum(1) - 3
        return logits + 1e-6 * self.network(image, clicks, previous)


jax.tree_util.register_pytree_node(
    Answering, lambda one: ((one.network,), None), lambda _, leaves: Answering(*leaves)
)


def nothing(image: jax.Array, clicks: object, previous: jax.Array) -> jax.Array:
    """A network that costs nothing: what is left are clicks, zoom and distances."""
    return 0.0 * previous


def make_network(**kwargs: object) -> TrainedModel:
    """A plain model with drawn parameters."""
    module = build("simpleclick", **kwargs)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.02 * rng.normal(size=leaf.shape), jnp.float32),
        shapes_of_params(module),
    )
    return TrainedModel(params, module, {})


def main() -> None:
    """Prints lines for each case."""
    print(f"unit: {1000 * matrix_product():.0f} ms; {jax.devices()}")
    for name in [name for name in CASES if name in (sys.argv[1:] or CASES)]:
        rows = time_case(CASES[name])
        for form in ("one by one", "together"):
            whole, bare = (rows[form, with_network] for with_network in (True, False))
            print(
                f"{name}, {form}: {1000 * whole.wall:.1f} ms a click, without the network "
                f"{1000 * bare.wall:.1f} ms ({100 * bare.wall / whole.wall:.1f} %); "
                f"CPU time {1000 * whole.cpu:.1f} and {1000 * bare.cpu:.1f} ms",
                flush=True,
            )
        ratio = rows["one by one", True].wall / rows["together", True].wall
        print(f"{name}: {ratio:.2f} times as many clicks a second together")


class Cost(NamedTuple):
    """Seconds a click."""

    wall: float
    cpu: float


def time_case(case: Case) -> dict[tuple[str, bool], Cost]:
    """What a click costs, for (form, with the network?).

    The forms take turns and the best of all turns counts: other work on the machine
    only ever adds time.
    """
    targets = draw_objects(case.num_objects)
    settings = dict(zoom=case.side, zoom_min_side=case.side // 2)
    settings |= dict(max_clicks=case.max_clicks, stop_iou=case.stop_iou)
    lanes = LANES[jax.default_backend()] * len(jax.devices())
    network = Answering(make_network(**case.model))

    def one_by_one(model: Model) -> int:
        sessions = [simulate(model, *target[1:], **settings) for target in targets]
        return sum(len(session.ious) for session in sessions)

    def together(model: Model) -> int:
        sessions = simulate_many(model, targets, num_lanes=lanes, **settings)
        return sum(len(session.ious) for _, session in sessions)

    forms = {"one by one": one_by_one, "together": together}
    best = dict.fromkeys(itertools.product(forms, (True, False)), Cost(np.inf, np.inf))
    for turn in range(1 + case.repeats):
        for name, with_network in best:
            model = network if with_network else Answering(as_tree(nothing))
            begin = time.perf_counter(), time.process_time()
            clicks = forms[name](model)
            end = time.perf_counter(), time.process_time()
            cost = [(b - a) / clicks for a, b in zip(begin, end, strict=True)]
            if turn:  # the first one compiles
                least = map(min, best[name, with_network], cost)
                best[name, with_network] = Cost(*least)
    return best


if __name__ == "__main__":
    main()
