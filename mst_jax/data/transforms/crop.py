"""Draw a square crop of a training image, jitter it and extract it at the output size.

Scaling, padding, small rotations and cropping are one step: the square of the source
image that becomes visible is drawn first, and only it is resized.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float

from mst_jax.data.example import TargetSample

# Probability of shifting and rotating, from AdaptiveClick's published recipe.
JITTER_PROB = 0.75
CROP_TRIES = 5


class CropBox(NamedTuple):
    """A square of the source image, in whole pixels; it may reach beyond the image.

    Attributes:
        top: First row.
        left: First column.
        side: Number of rows and columns.
        angle: Degrees by which the visible content turns about the center of the square,
            counter-clockwise.
    """

    top: int
    left: int
    side: int
    angle: float = 0.0


def sample_anchor(
    rng: np.random.Generator, target: Bool[np.ndarray, "h w"]
) -> tuple[int, int]:
    """Sample (row, column) uniformly among the pixels of the target.

    Args:
        rng: Random generator.
        target: [h w] True on the target object.

    Raises:
        ValueError: The target is empty.
    """
    pixels = np.flatnonzero(target)
    if not pixels.size:
        raise ValueError("the target is empty; leave such images out of training")
    anchor_row, anchor_column = divmod(
        int(pixels[rng.integers(pixels.size)]), target.shape[1]
    )
    return anchor_row, anchor_column


def sample_crop(
    rng: np.random.Generator,
    target: Bool[np.ndarray, "h w"],
    anchor_yx: tuple[int, int],
    *,
    side: int,
    min_visible: float = 0.25,
) -> CropBox:
    """Sample a square that contains the anchor and a fair part of the target.

    Where the image is shorter than the square, all of it is inside, at a uniform random
    position; elsewhere the square stays within the image.

    Args:
        rng: Random generator.
        target: [h w] True on the target object.
        anchor_yx: (row, column) that must be inside.
        side: Side of the square in pixels.
        min_visible: Fraction of the target that should be visible, or of the square where
            that is smaller. Of five squares the first with so much is taken, else the one
            with most.
    """
    min_pixels = min_visible * min(int(target.sum()), side**2)
    # A target at the border of the square is of little use: prefer much of it.
    best_crop, max_pixels = None, -1
    for _ in range(CROP_TRIES):
        top, left = (
            _sample_start(rng, (anchor_position, anchor_position), axis_size, side)
            for anchor_position, axis_size in zip(anchor_yx, target.shape, strict=True)
        )
        rows = slice(max(top, 0), top + side)
        columns = slice(max(left, 0), left + side)
        num_pixels = int(np.count_nonzero(target[rows, columns]))
        if num_pixels > max_pixels:
            best_crop, max_pixels = CropBox(top, left, side), num_pixels
        if num_pixels >= min_pixels:
            break
    assert best_crop is not None  # the first try always replaces it
    return best_crop


def sample_object_crop(
    rng: np.random.Generator,
    target: Bool[np.ndarray, "h w"],
    *,
    object_scale: tuple[float, float],
) -> CropBox:
    """Sample a square around all of the target, as zoom shows it after a click.

    Args:
        rng: Random generator.
        target: [h w] True on the target object; it must not be empty.
        object_scale: Min and max side of the square, as multiples (1 or more) of the
            longer side of the target's bounding box; its logarithm is sampled uniformly.
            The longer side of the image is the max in any case.
    """
    # First and last row, then first and last column of the target.
    target_extents = [np.flatnonzero(target.any(axis))[[0, -1]] for axis in (1, 0)]
    box_side = max(
        int(last_pixel - first_pixel) + 1 for first_pixel, last_pixel in target_extents
    )
    # Uniform in the logarithm: halving and doubling are equally likely.
    side_multiple = np.exp(rng.uniform(*np.log(object_scale)))
    side = round(min(side_multiple * box_side, max(target.shape)))
    top, left = (
        _sample_start(rng, (int(first_pixel), int(last_pixel)), axis_size, side)
        for (first_pixel, last_pixel), axis_size in zip(
            target_extents, target.shape, strict=True
        )
    )
    return CropBox(top, left, side)


def jitter_crop(
    rng: np.random.Generator,
    crop_box: CropBox,
    image_size: tuple[int, int],
    *,
    shift: float,
    rotate: float,
) -> CropBox:
    """Shift and rotate a crop a little, with probability 0.75.

    Args:
        rng: Random generator.
        crop_box: Upright crop.
        image_size: Height and width of the image in pixels.
        shift: Max shift along each axis, as a fraction of the image size.
        rotate: Max rotation to either side, in degrees.
    """
    # All numbers are drawn, so that the random stream does not depend on the outcome.
    shift_fractions = rng.uniform(-shift, shift, size=2)
    angle = float(rng.uniform(-rotate, rotate))
    if rng.random() >= JITTER_PROB:
        return crop_box
    shift_down, shift_right = (
        round(shift_fraction * axis_size)
        for shift_fraction, axis_size in zip(shift_fractions, image_size, strict=True)
    )
    return CropBox(
        crop_box.top + shift_down, crop_box.left + shift_right, crop_box.side, angle
    )


def extract_crop(
    sample: TargetSample, crop_box: CropBox, *, crop_size: int
) -> TargetSample:
    """Resize a crop of a sample to the output size; what lies outside is padding.

    The image is interpolated between pixels, a mask has the value of the nearest pixel.

    Args:
        sample: Image with its masks.
        crop_box: Square of the source image.
        crop_size: Side of the output in pixels.

    Returns:
        [crop_size crop_size] arrays; padding is 0 and False.
    """
    extract_arrays = _extract_rotated if crop_box.angle else _extract_upright
    # OpenCV resizes bytes, not booleans.
    masks = [mask.view(np.uint8) for mask in sample[1:]]
    image, *masks = extract_arrays([sample.image, *masks], crop_box, crop_size)
    return TargetSample(image, *(mask.view(bool) for mask in masks))


def _extract_upright(
    source_arrays: Sequence[np.ndarray], crop_box: CropBox, crop_size: int
) -> list[np.ndarray]:
    """Crop, resize and pad [h w *c] arrays; only the first is interpolated."""
    height, width = source_arrays[0].shape[:2]
    scale_factor = crop_size / crop_box.side
    # 1. The part of the square that lies on the image, in source pixels.
    top, bottom = max(crop_box.top, 0), min(crop_box.top + crop_box.side, height)
    left, right = max(crop_box.left, 0), min(crop_box.left + crop_box.side, width)
    # 2. The same part in output pixels.
    rows = _output_slice(top - crop_box.top, bottom - crop_box.top, scale_factor)
    columns = _output_slice(left - crop_box.left, right - crop_box.left, scale_factor)
    part_size = (columns.stop - columns.start, rows.stop - rows.start)
    # 3. Averaging when shrinking, else bilinear; masks take the nearest pixel.
    image_interpolation = cv2.INTER_AREA if scale_factor < 1 else cv2.INTER_LINEAR
    output_arrays = []
    for source_array in source_arrays:
        array_interpolation = (
            cv2.INTER_NEAREST_EXACT if output_arrays else image_interpolation
        )
        output_array = np.zeros(
            (crop_size, crop_size, *source_array.shape[2:]), np.uint8
        )
        # A square beside the image shows nothing but padding.
        if bottom > top and right > left:
            output_array[rows, columns] = cv2.resize(
                source_array[top:bottom, left:right],
                part_size,
                interpolation=array_interpolation,
            )
        output_arrays.append(output_array)
    return output_arrays


def _extract_rotated(
    source_arrays: Sequence[np.ndarray], crop_box: CropBox, crop_size: int
) -> list[np.ndarray]:
    """Sample [h w *c] arrays at rotated positions; only the first is interpolated."""
    source_matrix = _output_to_source(crop_box, crop_size)
    output_arrays = []
    for source_array in source_arrays:
        array_interpolation = cv2.INTER_NEAREST if output_arrays else cv2.INTER_LINEAR
        # The matrix leads from the output to the source already.
        flags = array_interpolation | cv2.WARP_INVERSE_MAP
        output_arrays.append(
            cv2.warpAffine(
                source_array, source_matrix, (crop_size, crop_size), flags=flags
            )
        )
    return output_arrays


def _output_to_source(crop_box: CropBox, crop_size: int) -> Float[np.ndarray, "2 3"]:
    """Return the matrix from output (x, y, 1) to source (x, y), as OpenCV takes it."""
    angle, pixel_size = np.deg2rad(crop_box.angle), crop_box.side / crop_size
    rotation_matrix = pixel_size * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    # The center of the output falls on the center of the square.
    crop_center = np.array([crop_box.left, crop_box.top]) + (crop_box.side - 1) / 2
    source_offset = crop_center - rotation_matrix @ np.full(2, (crop_size - 1) / 2)
    return np.column_stack([rotation_matrix, source_offset])


def _sample_start(
    rng: np.random.Generator, required_range: tuple[int, int], axis_size: int, side: int
) -> int:
    """Sample where `side` pixels start along one axis.

    Args:
        rng: Random generator.
        required_range: First and last pixel that must be inside.
        axis_size: Size of the image along the axis in pixels.
        side: Number of pixels to choose.

    Returns:
        A start within the image where that is longer, else around all of it.
    """
    # The whole axis fits: only the amount of padding before it is random.
    if side >= axis_size:
        return int(rng.integers(axis_size - side, 1))
    first_pixel, last_pixel = required_range
    return int(
        rng.integers(
            max(0, last_pixel - side + 1), min(first_pixel, axis_size - side) + 1
        )
    )


def _output_slice(part_start: int, part_stop: int, scale_factor: float) -> slice:
    """Return the output pixels that a part of the crop fills, one or more."""
    last_pixel = max(round(part_stop * scale_factor), 1)
    return slice(min(round(part_start * scale_factor), last_pixel - 1), last_pixel)
