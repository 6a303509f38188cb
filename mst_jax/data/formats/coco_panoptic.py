"""COCO's panoptic annotations: each pixel is of one thing or of one kind of stuff."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from mst_jax.data.formats.images import decode_picture, read_picture

_BASE = 256  # a segment's number is red + 256 green + 256^2 blue


class Segments(NamedTuple):
    """The segments of a picture.

    Attributes:
        file: name of the PNG that draws them.
        things: numbers of the objects, crowds left out.
        stuff: numbers of the regions that are no objects.
    """

    file: str
    things: list[int]
    stuff: list[int]


def read_panoptic(path: Path) -> dict[int, Segments]:
    """Reads `panoptic_*.json`: number of the picture -> its segments.

    Raises:
        ValueError: no json, or not of that form; names the file.
    """
    try:
        tree = json.loads(path.read_bytes())
        is_thing = {kind["id"]: kind["isthing"] == 1 for kind in tree["categories"]}
        return {
            int(annotation["image_id"]): _segments(annotation, is_thing)
            for annotation in tree["annotations"]
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is no panoptic annotation of COCO: {error!r}; expected categories "
            "with isthing and annotations with image_id, file_name, segments_info"
        ) from error


def open_segments(
    path: Path, numbers: list[int], *, size: tuple[int, int]
) -> list[Bool[np.ndarray, "h w"]]:
    """The masks of the segments with these numbers; empty ones are left out.

    Raises:
        ValueError: the PNG is damaged, or its height and width are not `size`.
    """
    drawn = decode_picture(read_picture(path).data).astype(np.int32)
    if drawn.shape[:2] != size:
        raise ValueError(f"is {drawn.shape[0]}x{drawn.shape[1]}, its picture {size}")
    of_pixel: Int32[np.ndarray, "h w"] = drawn @ np.array(
        [1, _BASE, _BASE**2], np.int32
    )
    masks = (of_pixel == number for number in numbers)
    return [mask for mask in masks if mask.any()]


def _segments(annotation: dict, is_thing: dict[int, bool]) -> Segments:
    name = annotation["file_name"]
    if "/" in name or "\\" in name:
        raise ValueError(f"file_name {name!r}")
    segments = annotation["segments_info"]
    return Segments(
        name,
        [
            int(segment["id"])
            for segment in segments
            if is_thing[segment["category_id"]] and not segment["iscrowd"]
        ],
        [
            int(segment["id"])
            for segment in segments
            if not is_thing[segment["category_id"]]
        ],
    )
