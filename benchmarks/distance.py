"""Exact distances of 8 masks of 448x448 in one jitted call: time and memory.

python benchmarks/distance.py
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage
from unit import in_units, matrix_product

from mst_jax.geometry.distance import squared_distance

SHAPE = (8, 448, 448)


def make_masks() -> dict[str, np.ndarray]:
    """Kinds of masks from the easiest to the hardest: the largest distance counts."""
    rng = np.random.default_rng(0)
    smooth = np.stack([ndimage.gaussian_filter(rng.normal(size=SHAPE[1:]), 12)] * 8)
    return {
        "random": rng.random(SHAPE) < 0.5,
        "blobs": smooth > 0,
        "full": np.ones(SHAPE, bool),
    }


def main() -> None:
    """Prints a row for each kind of mask."""
    transform = jax.jit(jax.vmap(squared_distance))
    print(f"unit: {1000 * matrix_product():.0f} ms")
    for name, masks in make_masks().items():
        labels = jnp.asarray(masks, jnp.int32)
        exact = [
            np.square(ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1])
            for mask in masks
        ]
        equal = np.array_equal(transform(labels), np.rint(exact))
        took, units = in_units(partial(transform, labels))
        memory = transform.lower(labels).compile().memory_analysis()
        print(
            f"{name:7} {took:.3f} s = {units:.2f} units, "
            f"{memory.temp_size_in_bytes / 1e6:.0f} MB extra, exact: {equal}"
        )


if __name__ == "__main__":
    main()
