"""What a prepared set holds, so that a user sees at a glance whether it was understood."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt16

from mst_jax.data.example import list_objects

SHARES = (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0)  # borders of the histogram
_BAR = 30  # characters


@dataclass(frozen=True)
class Survey:
    """Sizes of the pictures and shares of the objects.

    Attributes:
        sizes: [n 2] height and width of each picture.
        num_layers: [n] layers of each picture.
        shares: [m] area of each object as a share of its picture.
    """

    sizes: Int[np.ndarray, "n 2"]
    num_layers: Int[np.ndarray, " n"]
    shares: Float[np.ndarray, " m"]


def take_survey(pictures: Iterable[UInt16[np.ndarray, "_ _ _"]]) -> Survey:
    """Counts pictures, layers and objects from label maps [l h w] of any sizes."""
    sizes, num_layers, shares = [], [], []
    for layers in pictures:
        sizes.append(layers.shape[1:])
        num_layers.append(len(layers))
        pixels = layers[0].size
        shares += [item.area / pixels for item in list_objects(layers)]
    return Survey(
        np.array(sizes, np.int64).reshape(-1, 2),
        np.array(num_layers, np.int64),
        np.array(shares, np.float64),
    )


def print_form(survey: Survey) -> str:
    """The survey as a few lines of text."""
    heights, widths = survey.sizes.T
    counts, _ = np.histogram(survey.shares, SHARES)
    lines = [
        f"{len(heights)} pictures, {len(survey.shares)} objects "
        f"in {survey.num_layers.sum()} layers",
        f"sizes {heights.min()}x{widths.min()} to {heights.max()}x{widths.max()}, "
        f"median {int(np.median(heights))}x{int(np.median(widths))} (height x width)",
        "objects by share of the picture:",
    ]
    for low, high, count in zip(SHARES[:-1], SHARES[1:], counts, strict=True):
        bar = "#" * round(_BAR * count / max(counts.max(), 1))
        lines.append(f"  {low:6.1%} to {high:6.1%} {count:7d} {bar}".rstrip())
    return "\n".join(lines)
