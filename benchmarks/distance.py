"""Measure the exact distance transform of 8 masks of 448x448: time and memory.

python benchmarks/distance.py
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool
from scipy import ndimage
from unit import measure_in_units, measure_unit

from mst_jax.geometry.distance import squared_distance

BATCH_SHAPE = (8, 448, 448)


def make_masks() -> dict[str, Bool[np.ndarray, "b h w"]]:
    """Make masks from the easiest to the hardest: the largest distance counts."""
    rng = np.random.default_rng(0)
    smooth_noise = ndimage.gaussian_filter(rng.normal(size=BATCH_SHAPE[1:]), 12)
    return {
        "random": rng.random(BATCH_SHAPE) < 0.5,
        "blobs": np.stack([smooth_noise] * BATCH_SHAPE[0]) > 0,
        "full": np.ones(BATCH_SHAPE, bool),
    }


def exact_squared_distance(object_mask: Bool[np.ndarray, "h w"]) -> np.ndarray:
    """Compute the reference with SciPy; the image border counts as background."""
    edt_distance = ndimage.distance_transform_edt(np.pad(object_mask, 1))
    return np.square(np.asarray(edt_distance)[1:-1, 1:-1])


def main() -> None:
    """Print a row for each mask."""
    jitted_transform = jax.jit(jax.vmap(squared_distance))
    print(f"unit: {1000 * measure_unit():.0f} ms")
    for mask_kind, batch_masks in make_masks().items():
        mask_labels = jnp.asarray(batch_masks, jnp.int32)
        # Both count in whole pixels, so rounding makes the comparison exact.
        expected_distances = [
            exact_squared_distance(object_mask) for object_mask in batch_masks
        ]
        is_exact = np.array_equal(
            jitted_transform(mask_labels), np.rint(expected_distances)
        )
        # Time and memory of the compiled program, without the reference.
        wall_seconds, num_units = measure_in_units(
            partial(jitted_transform, mask_labels)
        )
        compiled_transform = jitted_transform.lower(mask_labels).compile()
        memory_stats = compiled_transform.memory_analysis()
        extra_bytes = memory_stats.temp_size_in_bytes if memory_stats else float("nan")
        print(
            f"{mask_kind:7} {wall_seconds:.3f} s = {num_units:.2f} units, "
            f"{extra_bytes / 1e6:.0f} MB extra, exact: {is_exact}"
        )


if __name__ == "__main__":
    main()
