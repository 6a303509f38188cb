"""Read COCO json files (also LVIS): the images they list and the objects as masks."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from mst_jax.data.file_errors import ErrorCollector
from mst_jax.extras import needs_extra

with needs_extra("data"):
    from pycocotools import mask as coco_mask

# A polygon corner further outside than this many image sizes is an annotation error.
_MAX_IMAGE_SIZES_OUTSIDE = 10


class CocoImage(NamedTuple):
    """An image that a COCO file lists.

    Attributes:
        id: Name of the image file without suffix; a folder is joined with a dash.
        file_name: Name of the image file, with its folder if one is given.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        annotations: Annotations of its objects, unchanged from the file.
    """

    id: str
    file_name: str
    height: int
    width: int
    annotations: list[Mapping[str, Any]]


def read_coco_images(path: Path) -> list[CocoImage]:
    """Read the images of a COCO file with their annotations, in order of file names.

    The name is `file_name`, or folder and file of `coco_url` where there is none (LVIS).

    Args:
        path: Path of the COCO json file.

    Raises:
        ValueError: The file is not JSON, or not of COCO's form; the message says what is
            missing.
    """
    try:
        file_content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path} nests too deep to be read") from error
    try:
        # 1. The annotations of each image, which stand in one list for all images.
        annotations_of_image = defaultdict(list)
        for annotation in file_content["annotations"]:
            annotations_of_image[annotation["image_id"]].append(annotation)
        # 2. The images take theirs; what remains belongs to images not listed.
        coco_images = [
            _parse_image(image, annotations_of_image.pop(image["id"], []))
            for image in file_content["images"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a COCO file: {error!r}; expected images with id, file_name, "
            "height, width and annotations with image_id, segmentation"
        ) from error
    if annotations_of_image:
        unlisted_id = next(iter(annotations_of_image))
        raise ValueError(
            f"{path}: {len(annotations_of_image)} images have annotations but are not "
            f"listed, the first has the id {unlisted_id!r}"
        )
    return sorted(coco_images, key=lambda image: image.file_name)


def decode_objects(
    coco_image: CocoImage, coco_file: Path, errors: ErrorCollector
) -> list[Bool[np.ndarray, "h w"]]:
    """Decode the masks of an image's objects; bad annotations are recorded as errors.

    Crowds and annotations without a single pixel are left out and counted.

    Args:
        coco_image: Image as the COCO file lists it.
        coco_file: Path of the COCO file, named in the errors.
        errors: Collector of the errors.

    Returns:
        [h w] masks, each with at least one pixel.
    """
    masks = []
    for annotation in coco_image.annotations:
        # A crowd is a region of many objects that nobody separated.
        if annotation.get("iscrowd"):
            errors.count_skipped("crowds")
            continue
        annotation_name = f"{coco_file.name}, annotation {annotation.get('id')}"
        with errors.collect_errors(annotation_name):
            mask = decode_segmentation(
                annotation.get("segmentation"), coco_image.height, coco_image.width
            )
            if mask.any():
                masks.append(mask)
            else:
                errors.count_skipped("annotations without a pixel")
    return masks


def decode_segmentation(
    segmentation: Any, height: int, width: int
) -> Bool[np.ndarray, "h w"]:
    """Decode the segmentation of one COCO object to a mask.

    Args:
        segmentation: Polygons [[x, y, x, y, ...], ...], or run lengths
            {"size": [height, width], "counts": whole numbers or packed text}.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        [h w] True on the object.

    Raises:
        ValueError: Neither polygons nor run lengths, another size, or far outside the
            image.
    """
    if isinstance(segmentation, Mapping):
        return _decode_run_lengths(segmentation, height, width)
    if isinstance(segmentation, list) and segmentation:
        checked_polygons: Any = [
            _check_polygon(polygon, height, width) for polygon in segmentation
        ]
        # An object in several pieces is the union of its polygons.
        merged_runs = coco_mask.merge(
            coco_mask.frPyObjects(checked_polygons, height, width)
        )
        return coco_mask.decode(merged_runs).astype(bool)
    raise ValueError(
        f"segmentation is {str(segmentation)[:40]!r}, expected polygons or run lengths"
    )


def _parse_image(
    image: Mapping[str, Any], annotations: list[Mapping[str, Any]]
) -> CocoImage:
    """Check an entry of the list of images and name the image."""
    file_name = image.get("file_name")
    if file_name is not None:
        image_id = str(Path(file_name).with_suffix("")).replace("/", "-")
    else:
        # LVIS names the images by COCO's numbers, which are unique over all folders.
        file_name = "/".join(image["coco_url"].split("/")[-2:])
        image_id = Path(file_name).stem
    height, width = int(image["height"]), int(image["width"])
    # A name may not lead out of the folder of images.
    if height < 1 or width < 1 or ".." in file_name or file_name.startswith("/"):
        raise ValueError(f"image {file_name!r} of {height}x{width}")
    return CocoImage(image_id, file_name, height, width, annotations)


def _check_polygon(polygon: Any, height: int, width: int) -> list[float]:
    """Return the coordinates of a polygon; ValueError if they make no polygon."""
    try:
        corner_values = [float(corner_value) for corner_value in polygon]
    except (TypeError, ValueError) as error:
        raise ValueError("polygon is not a list of numbers") from error
    if len(corner_values) < 6 or len(corner_values) % 2:
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
    run_lengths = (
        list(_unpack_counts(run_counts)) if isinstance(run_counts, str) else run_counts
    )
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
        # Runs alternate between background and object: the one before last is alike.
        if len(unpacked_lengths) > 2:
            run_value += unpacked_lengths[-2]
        unpacked_lengths.append(run_value)
        yield run_value
        run_value = bit_shift = 0
    if bit_shift:
        raise ValueError("run lengths end within a number")
