"""Deformable reading of a 448 picture in three forms, and the layers around it.

python benchmarks/deformable.py
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array
from unit import in_units, matrix_product

from mst_jax.layers import deformable_attention
from mst_jax.necks.pixel_decoder import DeformableLayer

SIZES = ((14, 14), (28, 28), (56, 56))
NUM_CELLS = sum(h * w for h, w in SIZES)
HEADS, POINTS, WIDTH = 8, 4, 256


def heads_together(values: Array, places: Array, weights: Array) -> Array:
    """One gather for all heads at once."""

    def alone(*head: Array) -> Array:
        head = (x[:, :, None] for x in head)
        return deformable_attention.read_levels(*head, sizes=SIZES)[:, :, 0]

    return jax.vmap(alone, in_axes=2, out_axes=2)(values, places, weights)


def corner_by_corner(values: Array, places: Array, weights: Array) -> Array:
    """The textbook form: four gathers a level, outside masked."""
    ends = np.cumsum([h * w for h, w in SIZES])[:-1]
    total = jnp.zeros(())
    for number, level in enumerate(jnp.split(values, ends, axis=1)):
        h, w = SIZES[number]
        level = rearrange(level, "b m a d -> b a m d")
        corner = jnp.floor(places[:, :, :, number])
        for step in np.ndindex(2, 2):
            cell = corner + jnp.asarray(step, jnp.float32)
            share = (1 - jnp.abs(places[:, :, :, number] - cell)).prod(-1)
            row, column = jnp.moveaxis(cell.astype(jnp.int32), -1, 0)
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            cells = rearrange(row * w + column, "b n a p -> b a (n p) 1")
            read = jnp.take_along_axis(level, cells, axis=2, mode="clip")
            read = rearrange(read, "b a (n p) d -> b n a p d", p=POINTS)
            share = jnp.where(inside, share * weights[:, :, :, number], 0.0)
            total += (read * share[..., None]).sum(-2)
    return total


def draw() -> tuple[Array, Array, Array]:
    """Values, places two cells around each query's own, weights."""
    rng = np.random.default_rng(0)
    shape = (1, NUM_CELLS, HEADS, len(SIZES), POINTS)
    own = deformable_attention.cell_centres(SIZES)[:, None] * np.array(SIZES) - 0.5
    places = own[None, :, None, :, None] + 2 * rng.normal(size=(*shape, 2))
    values = rng.normal(size=(1, NUM_CELLS, HEADS, WIDTH // HEADS))
    weights = rng.random(shape) / 6
    return tuple(jnp.asarray(x, jnp.float32) for x in (values, places, weights))


def report(name: str, function: Callable, *arrays: object) -> None:
    """Prints one row: forward, forward and backward, memory of the latter."""

    def total(*arrays: object) -> Array:
        return jnp.square(function(*arrays)).sum()

    forward = jax.jit(function)
    both = jax.jit(jax.grad(total, argnums=tuple(range(len(arrays)))))
    memory = both.lower(*arrays).compile().memory_analysis().temp_size_in_bytes
    times = [in_units(partial(run, *arrays))[1] for run in (forward, both)]
    print(
        f"{name:16} forward {times[0]:5.2f} units, and backward {times[1]:5.2f} units, "
        f"{memory / 1e6:.0f} MB extra"
    )


def main() -> None:
    """Prints a row for each form, and one for a whole layer."""
    drawing = draw()

    def heads_in_turn(*drawing: Array) -> Array:
        return deformable_attention.read_levels(*drawing, sizes=SIZES)

    print(f"unit: {1000 * matrix_product():.0f} ms")
    want = heads_in_turn(*drawing)
    for form in (heads_in_turn, heads_together, corner_by_corner):
        error = jnp.abs(form(*drawing) - want).max()
        assert error < 1e-5, f"{form.__name__} is not the same: {error}"
        report(form.__name__, form, *drawing)

    layer = DeformableLayer(HEADS, POINTS, 1024)
    cells = rearrange(drawing[0], "b n a d -> b n (a d)")
    positions = jnp.zeros((NUM_CELLS, WIDTH))
    params = layer.init(jax.random.key(0), cells, positions, sizes=SIZES)
    report(
        "whole layer",
        lambda params, cells: layer.apply(params, cells, positions, sizes=SIZES),
        params,
        cells,
    )


if __name__ == "__main__":
    main()
