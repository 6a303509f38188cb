"""Read COCO's panoptic annotations: each pixel belongs to one thing or stuff segment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from mst_jax.data.formats.images import decode_image, read_image

# The id of a segment is red + 256 green + 256^2 blue.
_COLOR_BASE = 256


class PanopticSegments(NamedTuple):
    """The segments of an image.

    Attributes:
        file_name: Name of the PNG that draws the segments.
        thing_ids: Ids of the objects, crowds left out.
        stuff_ids: Ids of the areas that are not objects.
    """

    file_name: str
    thing_ids: list[int]
    stuff_ids: list[int]


def read_panoptic_file(path: Path) -> dict[int, PanopticSegments]:
    """Read a `panoptic_*.json` file.

    Args:
        path: Path of the json file.

    Returns:
        The segments of each image, by the id of the image.

    Raises:
        ValueError: The file is not JSON, or not of that form; the message names the file.
    """
    try:
        file_content = json.loads(path.read_bytes())
        # Each category is either of things or of stuff.
        is_thing = {
            category_entry["id"]: category_entry["isthing"] == 1
            for category_entry in file_content["categories"]
        }
        return {
            int(annotation["image_id"]): _parse_segments(annotation, is_thing)
            for annotation in file_content["annotations"]
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a panoptic annotation of COCO: {error!r}; expected categories "
            "with isthing and annotations with image_id, file_name, segments_info"
        ) from error


def decode_segments(
    path: Path, segment_ids: Sequence[int], *, size: tuple[int, int]
) -> list[Bool[np.ndarray, "h w"]]:
    """Decode the masks of some segments; empty ones are left out.

    Args:
        path: Path of the PNG that draws the segments.
        segment_ids: Ids of the segments to decode.
        size: Height and width of the image in pixels.

    Returns:
        [h w] masks in the order of the ids.

    Raises:
        ValueError: The PNG is damaged, or its height and width are not `size`.
    """
    color_pixels = decode_image(read_image(path).data).astype(np.int32)
    if color_pixels.shape[:2] != size:
        raise ValueError(
            f"is {color_pixels.shape[0]}x{color_pixels.shape[1]}, its image {size}"
        )
    # The color of a pixel is the id of its segment in base 256.
    id_map: Int32[np.ndarray, "h w"] = color_pixels @ np.array(
        [1, _COLOR_BASE, _COLOR_BASE**2], np.int32
    )
    # A segment of the list may have no pixel in the PNG.
    masks = (id_map == segment_id for segment_id in segment_ids)
    return [mask for mask in masks if mask.any()]


def _parse_segments(
    annotation: Mapping[str, Any], is_thing: Mapping[int, bool]
) -> PanopticSegments:
    """Split the segments of an image into things and stuff."""
    file_name = annotation["file_name"]
    # A name may not lead out of the folder of PNGs.
    if "/" in file_name or "\\" in file_name:
        raise ValueError(f"file_name {file_name!r}")
    segment_infos = annotation["segments_info"]
    return PanopticSegments(
        file_name,
        [
            int(segment_info["id"])
            for segment_info in segment_infos
            if is_thing[segment_info["category_id"]] and not segment_info["iscrowd"]
        ],
        [
            int(segment_info["id"])
            for segment_info in segment_infos
            if not is_thing[segment_info["category_id"]]
        ],
    )
