"""Time and memory of deformable sampling of a 448-pixel image, in three implementations.

python benchmarks/deformable.py
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array
from unit import measure_in_units, measure_unit

from mst_jax.geometry.level_sampling import sample_levels
from mst_jax.layers.deformable_attention import cell_centers
from mst_jax.necks.pixel_decoder import DeformableEncoderLayer

LEVEL_SIZES = ((14, 14), (28, 28), (56, 56))
NUM_CELLS = sum(h * w for h, w in LEVEL_SIZES)
NUM_HEADS, NUM_POINTS, WIDTH = 8, 4, 256


def heads_in_sequence(values: Array, points_yx: Array, weights: Array) -> Array:
    """Sample with the library's implementation: one gather per head, one by one."""
    return sample_levels(values, points_yx, weights, level_sizes=LEVEL_SIZES)


def heads_in_parallel(values: Array, points_yx: Array, weights: Array) -> Array:
    """Sample with one gather for all heads at once."""

    def sample_head(*head_inputs: Array) -> Array:
        # The function takes an axis of heads; here it has length one.
        with_head_axis = (x[:, :, None] for x in head_inputs)
        return sample_levels(*with_head_axis, level_sizes=LEVEL_SIZES)[:, :, 0]

    return jax.vmap(sample_head, in_axes=2, out_axes=2)(values, points_yx, weights)


def corner_by_corner(values: Array, points_yx: Array, weights: Array) -> Array:
    """Sample in the textbook form: four gathers per level, masked outside."""
    boundaries = np.cumsum([h * w for h, w in LEVEL_SIZES])[:-1]
    total = jnp.zeros(())
    for level, level_values in enumerate(jnp.split(values, boundaries, axis=1)):
        h, w = LEVEL_SIZES[level]
        level_values = rearrange(level_values, "b m a d -> b a m d")
        level_points = points_yx[:, :, :, level]
        for corner in np.ndindex(2, 2):
            # 1. The cell of this corner, and its bilinear weight.
            cell_yx = jnp.floor(level_points) + jnp.asarray(corner, jnp.float32)
            corner_weight = (1 - jnp.abs(level_points - cell_yx)).prod(-1)
            row, column = jnp.moveaxis(cell_yx.astype(jnp.int32), -1, 0)
            is_inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            # 2. Gather the cells of all queries and points.
            flat_cells = rearrange(row * w + column, "b n a p -> b a (n p) 1")
            gathered = jnp.take_along_axis(
                level_values, flat_cells, axis=2, mode="clip"
            )
            gathered = rearrange(gathered, "b a (n p) d -> b n a p d", p=NUM_POINTS)
            # 3. Add them, weighted.
            sample_weight = corner_weight * weights[:, :, :, level]
            sample_weight = jnp.where(is_inside, sample_weight, 0.0)
            total += (gathered * sample_weight[..., None]).sum(-2)
    return total


def random_inputs() -> tuple[Array, ...]:
    """Return values, sampling points about two cells from their query, and weights."""
    rng = np.random.default_rng(0)
    samples_shape = (1, NUM_CELLS, NUM_HEADS, len(LEVEL_SIZES), NUM_POINTS)
    centers = cell_centers(LEVEL_SIZES)[:, None] * np.array(LEVEL_SIZES) - 0.5
    offsets = 2 * rng.normal(size=(*samples_shape, 2))
    points_yx = centers[None, :, None, :, None] + offsets
    values = rng.normal(size=(1, NUM_CELLS, NUM_HEADS, WIDTH // NUM_HEADS))
    weights = rng.random(samples_shape) / 6
    return tuple(jnp.asarray(x, jnp.float32) for x in (values, points_yx, weights))


def report(name: str, function: Callable[..., Array], *inputs: Any) -> None:
    """Print time of the forward pass, time with the backward pass, and its memory.

    Args:
        name: Name of the row.
        function: Function to measure.
        *inputs: Arrays or trees of arrays that it is called with.
    """

    def scalar_output(*inputs: Any) -> Array:
        return jnp.square(function(*inputs)).sum()

    forward = jax.jit(function)
    gradient = jax.jit(jax.grad(scalar_output, argnums=tuple(range(len(inputs)))))
    program = gradient.lower(*inputs).compile()
    memory = program.memory_analysis()
    assert memory is not None, "this backend does not report the memory of a program"
    forward_units, gradient_units = (
        measure_in_units(partial(run, *inputs))[1] for run in (forward, gradient)
    )
    print(
        f"{name:17} forward {forward_units:5.2f} units, with backward "
        f"{gradient_units:5.2f} units, {memory.temp_size_in_bytes / 1e6:.0f} MB temporary"
    )


def main() -> None:
    """Print a row for each implementation, and one for a whole encoder layer."""
    inputs = random_inputs()
    print(f"unit: {1000 * measure_unit():.0f} ms")
    # 1. The implementations, each compared with the library's.
    expected = heads_in_sequence(*inputs)
    for implementation in (heads_in_sequence, heads_in_parallel, corner_by_corner):
        error = jnp.abs(implementation(*inputs) - expected).max()
        name = implementation.__name__
        assert error < 1e-5, f"{name} differs from the library by {error}"
        report(name, implementation, *inputs)
    # 2. A layer: projections, sampling, MLP and norms.
    layer = DeformableEncoderLayer(NUM_HEADS, NUM_POINTS, 1024)
    cells = rearrange(inputs[0], "b n a d -> b n (a d)")
    positions = jnp.zeros((NUM_CELLS, WIDTH))
    params = layer.init(jax.random.key(0), cells, positions, level_sizes=LEVEL_SIZES)

    def apply_layer(params: Any, cells: Array) -> Array:
        updated = layer.apply(params, cells, positions, level_sizes=LEVEL_SIZES)
        assert isinstance(updated, jax.Array)  # `apply` may also return a pair
        return updated

    report("encoder layer", apply_layer, params, cells)


if __name__ == "__main__":
    main()
