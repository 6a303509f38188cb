"""Statistics of a prepared dataset: images, layers, objects and their areas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt16

from mst_jax.data.example import list_objects

# Bin edges of the histogram, in fractions of the image: objects differ by magnitudes.
AREA_BINS = (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0)
_MAX_BAR_LENGTH = 30  # characters


@dataclass(frozen=True)
class DatasetStatistics:
    """Sizes of the images and areas of the objects.

    Attributes:
        image_sizes: [n 2] height and width of each image in pixels.
        num_layers: [n] number of layers of each image.
        area_fractions: [m] area of each object as a fraction of its image, 0 to 1.
    """

    image_sizes: Int[np.ndarray, "n 2"]
    num_layers: Int[np.ndarray, " n"]
    area_fractions: Float[np.ndarray, " m"]


def compute_statistics(
    label_maps: Iterable[UInt16[np.ndarray, "_ _ _"]],
) -> DatasetStatistics:
    """Count images, layers and objects.

    Args:
        label_maps: [l h w] label maps of each image; sizes may differ.
    """
    image_sizes, num_layers, area_fractions = [], [], []
    # One pass: the label maps of a large dataset do not fit into memory.
    for layers in label_maps:
        image_sizes.append(layers.shape[1:])
        num_layers.append(len(layers))
        num_pixels = layers[0].size
        area_fractions += [item.area / num_pixels for item in list_objects(layers)]
    # The reshape keeps two columns for a dataset without images.
    return DatasetStatistics(
        np.array(image_sizes, np.int64).reshape(-1, 2),
        np.array(num_layers, np.int64),
        np.array(area_fractions, np.float64),
    )


def format_statistics(statistics: DatasetStatistics) -> str:
    """Format statistics of at least one image as a few lines of text."""
    min_height, min_width = statistics.image_sizes.min(0)
    max_height, max_width = statistics.image_sizes.max(0)
    median_height, median_width = np.median(statistics.image_sizes, 0).astype(int)
    object_counts, _ = np.histogram(statistics.area_fractions, AREA_BINS)
    text_lines = [
        f"{len(statistics.image_sizes)} images, {len(statistics.area_fractions)} "
        f"objects in {statistics.num_layers.sum()} layers",
        f"sizes {min_height}x{min_width} to {max_height}x{max_width}, "
        f"median {median_height}x{median_width} (height x width)",
        "objects by fraction of the image:",
    ]
    # The fullest bin has the longest bar.
    max_count = max(object_counts.max(), 1)
    bin_ranges = zip(AREA_BINS[:-1], AREA_BINS[1:], object_counts, strict=True)
    for bin_start, bin_end, object_count in bin_ranges:
        bar_text = "#" * round(_MAX_BAR_LENGTH * object_count / max_count)
        bin_line = f"  {bin_start:6.1%} to {bin_end:6.1%} {object_count:7d} {bar_text}"
        text_lines.append(bin_line.rstrip())
    return "\n".join(text_lines)
