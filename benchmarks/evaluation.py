"""Measure the evaluation: clicks per second, batched and one by one, and its overhead.

python benchmarks/evaluation.py base                  # without names: all cases
JAX_NUM_CPU_DEVICES=2 python benchmarks/evaluation.py   # an object on each core
"""

import dataclasses
import itertools
import sys
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict
from scipy import ndimage
from unit import measure_unit

from mst_jax.compilation_cache import enable_compilation_cache
from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation import EvaluationProtocol, simulate, simulate_batched
from mst_jax.evaluation.evaluation_task import default_batch_size
from mst_jax.evaluation.simulation import NEVER_STOP
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.zoom_predict import ClickModelFn, as_pytree
from mst_jax.models.build import build
from mst_jax.models.load import TrainedModel, parameter_shapes
from mst_jax.structs import Clicks

NANO_MODEL = dict(size="nano", crop=96, window=0)

# Sessions of the click literature have images of this size: SBD.
LANDSCAPE, PORTRAIT = (375, 500), (500, 375)


@dataclasses.dataclass(frozen=True)
class BenchmarkCase:
    """A model, the objects it segments and how often both forms are timed."""

    model_options: dict[str, Any]
    zoom_size: int
    num_objects: int
    max_clicks: int
    stop_iou: float = NEVER_STOP
    num_repeats: int = 3


BENCHMARK_CASES = {
    "nano": BenchmarkCase(NANO_MODEL, 96, num_objects=8, max_clicks=20),
    "nano, ends at 70 %": BenchmarkCase(
        NANO_MODEL, 96, num_objects=16, max_clicks=20, stop_iou=0.7
    ),
    "base": BenchmarkCase(
        dict(size="base", crop=448), 448, num_objects=2, max_clicks=2, num_repeats=1
    ),
}


class ClickCost(NamedTuple):
    """Seconds per click on the clock and on all CPU cores together."""

    wall_seconds: float
    cpu_seconds: float


# ("one by one" or "batched", with the network?) -> cost
CostTable = dict[tuple[str, bool], ClickCost]


def draw_objects(num_objects: int) -> list[EvaluationTarget]:
    """Draw smooth objects on noise, in images of SBD's size."""
    rng = np.random.default_rng(0)
    targets = []
    for index in range(num_objects):
        image_shape = LANDSCAPE if index % 2 else PORTRAIT
        # Later objects are smoother and have fewer parts.
        smooth_noise = rng.normal(size=image_shape)
        target_mask = (
            np.asarray(ndimage.gaussian_filter(smooth_noise, 15 + 6 * index)) > 0.0
        )
        image = rng.integers(0, 100, (*image_shape, 3)) + 120 * target_mask[..., None]
        valid = np.ones(image_shape, bool)
        targets.append(
            EvaluationTarget(str(index), image.astype(np.uint8), target_mask, valid)
        )
    return targets


class DiskModel:
    """A model that runs its network but predicts a disk around each click.

    So sessions continue as with a trained model; some end early.
    """

    def __init__(self, wrapped_network: ClickModelFn) -> None:
        self.wrapped_network = wrapped_network

    def __call__(
        self, image: jax.Array, clicks: Clicks, prev_mask: jax.Array
    ) -> jax.Array:
        """Return logits to which the network contributes its cost only."""
        height, width = prev_mask.shape[1:]
        pixel_row, pixel_column = jnp.mgrid[:height, :width].astype(jnp.float32)
        # 1. A Gaussian around each click, positive or negative.
        distance2 = jnp.square(pixel_row[None, None] - clicks.yx[..., 0, None, None])
        distance2 += jnp.square(
            pixel_column[None, None] - clicks.yx[..., 1, None, None]
        )
        click_closeness = jnp.exp(-distance2 / (2 * (0.12 * height) ** 2))
        click_sign = jnp.where(clicks.label == 1, 9.0, -9.0) * clicks.is_filled
        disk_logits = (click_sign[..., None, None] * click_closeness).sum(1) - 3
        # 2. The compiler must not remove the network.
        return disk_logits + 1e-6 * self.wrapped_network(image, clicks, prev_mask)


jax.tree_util.register_pytree_node(
    DiskModel,
    lambda model: ((model.wrapped_network,), None),
    lambda _, children: DiskModel(*children),
)


def free_network(image: jax.Array, clicks: Clicks, prev_mask: jax.Array) -> jax.Array:
    """Return zeros at no cost: what remains are clicks, zoom and distances."""
    return 0.0 * prev_mask


def make_network(model_options: dict[str, Any]) -> TrainedModel:
    """Build a plain model with random parameters."""
    module = build("simpleclick", **model_options)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.02 * rng.normal(size=leaf.shape), jnp.float32),
        parameter_shapes(module),
    )
    return TrainedModel(params, module, FrozenConfigDict())


def main() -> None:
    """Run the cases named on the command line and print their costs."""
    enable_compilation_cache()
    print(f"unit: {1000 * measure_unit():.0f} ms; {jax.devices()}")
    requested_names = sys.argv[1:] or list(BENCHMARK_CASES)
    for case_name in [
        case_name for case_name in BENCHMARK_CASES if case_name in requested_names
    ]:
        click_costs = time_case(BENCHMARK_CASES[case_name])
        print_costs(case_name, click_costs)


def print_costs(case_name: str, click_costs: CostTable) -> None:
    """Print the cost of a click in both forms, and how much of it is overhead."""
    for form_name in ("one by one", "batched"):
        total_cost, overhead = (
            click_costs[form_name, True],
            click_costs[form_name, False],
        )
        overhead_percent = 100 * overhead.wall_seconds / total_cost.wall_seconds
        print(
            f"{case_name}, {form_name}: {1000 * total_cost.wall_seconds:.1f} ms per "
            f"click, without the network {1000 * overhead.wall_seconds:.1f} ms "
            f"({overhead_percent:.1f} %); CPU time {1000 * total_cost.cpu_seconds:.1f} "
            f"and {1000 * overhead.cpu_seconds:.1f} ms",
            flush=True,
        )
    one_by_one, batched = click_costs["one by one", True], click_costs["batched", True]
    speedup = one_by_one.wall_seconds / batched.wall_seconds
    print(f"{case_name}: {speedup:.2f} times as many clicks per second batched")


def time_case(benchmark_case: BenchmarkCase) -> CostTable:
    """Time a click in both forms, with and without the network.

    The forms take turns and the best turn counts: other work on the machine only ever
    adds time.
    """
    targets = draw_objects(benchmark_case.num_objects)
    zoom = ZoomOptions(
        size=benchmark_case.zoom_size, min_side=benchmark_case.zoom_size // 2
    )
    protocol = EvaluationProtocol(max_clicks=benchmark_case.max_clicks, zoom=zoom)
    # The overhead is what remains with a network that costs nothing.
    models = {
        True: DiskModel(make_network(benchmark_case.model_options)),
        False: DiskModel(as_pytree(free_network)),
    }

    # Both forms return the number of clicks, which differs if sessions end early.
    def count_one_by_one(model: ClickModelFn) -> int:
        sessions = [
            simulate(
                model, *target[1:], stop_iou=benchmark_case.stop_iou, protocol=protocol
            )
            for target in targets
        ]
        return sum(len(session.ious) for session in sessions)

    def count_batched(model: ClickModelFn) -> int:
        sessions = simulate_batched(
            model,
            targets,
            batch_size=default_batch_size(),
            stop_iou=benchmark_case.stop_iou,
            protocol=protocol,
        )
        return sum(len(session.ious) for _, session in sessions)

    evaluation_forms = {"one by one": count_one_by_one, "batched": count_batched}
    # Each turn runs all forms, so that a slow minute of the machine hits all of them.
    best_costs: CostTable = dict.fromkeys(
        itertools.product(evaluation_forms, (True, False)), ClickCost(np.inf, np.inf)
    )
    for turn_index in range(1 + benchmark_case.num_repeats):
        for form_name, with_network in best_costs:
            start_wall, start_cpu = time.perf_counter(), time.process_time()
            num_clicks = evaluation_forms[form_name](models[with_network])
            wall_seconds = (time.perf_counter() - start_wall) / num_clicks
            cpu_seconds = (time.process_time() - start_cpu) / num_clicks
            # The first turn compiles and does not count.
            if turn_index:
                best_cost = best_costs[form_name, with_network]
                best_costs[form_name, with_network] = ClickCost(
                    min(best_cost.wall_seconds, wall_seconds),
                    min(best_cost.cpu_seconds, cpu_seconds),
                )
    return best_costs


if __name__ == "__main__":
    main()
