"""Decode the segmentations of COCO annotations: polygons and run lengths, to masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from mst_jax.extras import needs_extra

with needs_extra("data"):
    from pycocotools import mask as coco_mask

# A polygon corner further outside than this many image sizes is an annotation error.
_MAX_IMAGE_SIZES_OUTSIDE = 10
_MIN_RING_NUMBERS = 6  # x and y of three corners


def list_rings(segmentation: Any) -> list[Any]:
    """Return the rings of a polygon segmentation, each a list of x, y, x, y, ...

    Some tools write one ring without the outer list, or corners as pairs [x, y].

    Args:
        segmentation: Polygons as tools write them.
    """
    if not isinstance(segmentation, list):
        return []
    if segmentation and all(map(_is_number, segmentation)):
        return [segmentation]
    # One ring of pairs: as rings of one corner each, it would be lost.
    if len(segmentation) > 2 and all(map(_is_pair, segmentation)):
        return [_join_pairs(segmentation)]
    return [
        _join_pairs(ring)
        if isinstance(ring, list) and ring and all(map(_is_pair, ring))
        else ring
        for ring in segmentation
    ]


def is_sliver(ring: Any) -> bool:
    """Return whether a ring has fewer than three corners, and so no area."""
    return (
        isinstance(ring, list)
        and len(ring) < _MIN_RING_NUMBERS
        and len(ring) % 2 == 0
        and all(map(_is_number, ring))
    )


def decode_segmentation(
    segmentation: Any, height: int, width: int
) -> Bool[np.ndarray, "h w"]:
    """Decode the segmentation of one COCO object to a mask.

    Args:
        segmentation: Polygons [[x, y, x, y, ...], ...], see `list_rings`, or run lengths
            {"size": [height, width], "counts": whole numbers or packed text}.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        [h w] True on the object; rings of fewer than three corners are left out.

    Raises:
        ValueError: Neither polygons nor run lengths, another size, or far outside the
            image.
    """
    if isinstance(segmentation, Mapping):
        return _decode_run_lengths(segmentation, height, width)
    rings = list_rings(segmentation)
    if rings:
        checked_polygons: Any = [
            _check_polygon(ring, height, width) for ring in rings if not is_sliver(ring)
        ]
        if not checked_polygons:
            return np.zeros((height, width), bool)
        _check_pixel_coordinates(checked_polygons, height, width)
        # An object in several pieces is the union of its polygons.
        merged_runs = coco_mask.merge(
            coco_mask.frPyObjects(checked_polygons, height, width)
        )
        return coco_mask.decode(merged_runs).astype(bool)
    raise ValueError(
        f"segmentation is {str(segmentation)[:40]!r}, expected polygons or run lengths"
    )


def _check_polygon(polygon: Any, height: int, width: int) -> list[float]:
    """Return the coordinates of a polygon; ValueError if they make no polygon."""
    try:
        corner_values = [float(corner_value) for corner_value in polygon]
    except (TypeError, ValueError) as error:
        raise ValueError("polygon is not a list of numbers") from error
    if len(corner_values) < _MIN_RING_NUMBERS or len(corner_values) % 2:
        raise ValueError(
            f"polygon of {len(corner_values)} numbers, expected x and y of three or more "
            "corners"
        )
    max_coordinate = _MAX_IMAGE_SIZES_OUTSIDE * max(height, width)
    if not all(
        math.isfinite(corner_value) and abs(corner_value) <= max_coordinate
        for corner_value in corner_values
    ):
        raise ValueError("polygon has corners that are not finite or far outside")
    return corner_values


def _check_pixel_coordinates(
    polygons: Sequence[Sequence[float]], height: int, width: int
) -> None:
    """Raise a ValueError for coordinates that are fractions of the image."""
    all_values = [value for polygon in polygons for value in polygon]
    is_fraction = all(0 <= value <= 1 for value in all_values)
    if is_fraction and min(height, width) > 1 and set(all_values) - {0.0, 1.0}:
        raise ValueError(
            "polygon coordinates are all between 0 and 1, expected pixels; multiply them "
            "by the width and the height of the image"
        )


def _decode_run_lengths(
    encoded_runs: Mapping[str, Any], height: int, width: int
) -> Bool[np.ndarray, "h w"]:
    """Decode COCO's run lengths, plain or packed, after checking them."""
    if encoded_runs.get("size") != [height, width]:
        raise ValueError(
            f"run lengths for {encoded_runs.get('size')}, the image is {[height, width]}"
        )
    # Packed as text, as pycocotools writes them, or plain numbers.
    run_counts = encoded_runs.get("counts")
    run_lengths = run_counts
    if isinstance(run_counts, str):
        run_lengths = list(_unpack_counts(run_counts))
    elif isinstance(run_counts, list):
        # Some tools write whole numbers as 12.0.
        run_lengths = [
            int(count) if isinstance(count, float) and count.is_integer() else count
            for count in run_counts
        ]
    if (
        not isinstance(run_lengths, Sequence)
        or not all(
            isinstance(run_length, int) and run_length >= 0
            for run_length in run_lengths
        )
        or sum(run_lengths) != height * width
    ):
        # pycocotools does not check, and reads or writes beyond the image.
        raise ValueError(f"run lengths do not add up to {height}x{width} pixels")
    # pycocotools's type stubs do not know unpacked run lengths.
    checked_runs: Any = {"size": [height, width], "counts": run_lengths}
    return coco_mask.decode(coco_mask.frPyObjects(checked_runs, height, width)).astype(
        bool
    )


def _unpack_counts(packed_text: str) -> Iterator[int]:
    """Yield run lengths from COCO's packed text.

    Each is written in digits of 5 bits from the lowest, as characters from "0" on, with
    32 where more follow; from the fourth on as the difference to the one before last.
    """
    unpacked_lengths: list[int] = []
    run_value = bit_shift = 0
    for packed_character in packed_text:
        digit_bits = ord(packed_character) - 48
        if not 0 <= digit_bits < 64:
            raise ValueError(f"run lengths hold the character {packed_character!r}")
        run_value |= (digit_bits & 31) << bit_shift
        bit_shift += 5
        # Bit 32: another digit of the same number follows.
        if digit_bits & 32:
            continue
        # Bit 16 of the last digit is the sign.
        if digit_bits & 16:
            run_value -= 1 << bit_shift
        # Background and object alternate: a run resembles the one before last.
        if len(unpacked_lengths) > 2:
            run_value += unpacked_lengths[-2]
        unpacked_lengths.append(run_value)
        yield run_value
        run_value = bit_shift = 0
    if bit_shift:
        raise ValueError("run lengths end within a number")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _join_pairs(pairs: Sequence[Sequence[int | float]]) -> list[int | float]:
    return [value for pair in pairs for value in pair]
