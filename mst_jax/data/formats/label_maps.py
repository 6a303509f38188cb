"""Regions of a mask or label map: parted, and left out where they are no objects."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.example import IGNORED


def part_regions(
    mask: Bool[np.ndarray, "h w"], *, diagonal: bool
) -> UInt16[np.ndarray, "h w"]:
    """Numbers the connected regions of a mask 1, 2, ... in row order.

    Args:
        mask: [h w] True on the regions.
        diagonal: do pixels that touch at a corner belong together?

    Raises:
        ValueError: more regions than there are labels.
    """
    num, regions = cv2.connectedComponents(
        mask.astype(np.uint8), connectivity=8 if diagonal else 4
    )
    if num > IGNORED:
        raise ValueError(f"has {num - 1} regions, at most {IGNORED - 1} can be kept")
    return regions.astype(np.uint16)


def drop_labels(
    labels: UInt16[np.ndarray, "h w"], unwanted: list[int]
) -> UInt16[np.ndarray, "h w"]:
    """Turns some labels into background."""
    return np.where(np.isin(labels, unwanted), np.uint16(0), labels)


def find_small(labels: UInt16[np.ndarray, "h w"], *, least_area: int) -> list[int]:
    """Labels of the objects with fewer pixels than `least_area`."""
    areas = np.bincount(labels.ravel(), minlength=1)
    areas[0], areas[IGNORED:] = 0, 0
    return np.flatnonzero((areas > 0) & (areas < least_area)).tolist()


def find_sparse(labels: UInt16[np.ndarray, "h w"], *, least_share: float) -> list[int]:
    """Labels of the objects that fill less than a share of their box.

    Such are slips of the pen: a few stray pixels far apart. RITM's and SimpleClick's
    programs leave out what fills under 0.08.
    """
    found = []
    for label in np.unique(labels):
        if 0 < label < IGNORED:
            rows, columns = np.nonzero(labels == label)
            box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            if len(rows) < least_share * box:
                found.append(int(label))
    return found
