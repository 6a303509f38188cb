"""COCO json files (also LVIS): which pictures, and which objects in them as masks."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as rle

from mst_jax.data.errors import Faults

_FAR = 10  # corners more than so many picture sizes outside are a slip


class Listed(NamedTuple):
    """A picture of a COCO file.

    Attributes:
        id: name of the picture file without suffix; a folder is joined with a dash.
        file: name of the picture file, with its folder if one is given.
        height: in pixels.
        width: in pixels.
        annotations: its objects as they stand in the file.
    """

    id: str
    file: str
    height: int
    width: int
    annotations: list[Mapping[str, object]]


def read_coco(path: Path) -> list[Listed]:
    """Reads the pictures of a COCO file with their annotations, in order of the names.

    The name is `file_name`, or folder and file of `coco_url` where there is none (LVIS).

    Raises:
        ValueError: no json, or not of COCO's form; says what is missing.
    """
    try:
        tree = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no json: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path} nests too deep to be read") from error
    try:
        of_picture = defaultdict(list)
        for annotation in tree["annotations"]:
            of_picture[annotation["image_id"]].append(annotation)
        listed = [
            _listed(image, of_picture.pop(image["id"], [])) for image in tree["images"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} is no COCO file: {error!r}; expected images with id, file_name, "
            "height, width and annotations with image_id, segmentation"
        ) from error
    if of_picture:
        strange = next(iter(of_picture))
        raise ValueError(
            f"{path}: {len(of_picture)} pictures have annotations but are not listed, "
            f"the first has the id {strange!r}"
        )
    return sorted(listed, key=lambda picture: picture.file)


def open_objects(
    picture: Listed, source: Path, faults: Faults
) -> list[Bool[np.ndarray, "h w"]]:
    """The masks of a picture's objects; bad annotations are noted as faults.

    Crowds and annotations without a single pixel are left out with a remark.

    Args:
        picture: what is listed of it.
        source: the COCO file, named in faults.
        faults: where faults are noted.
    """
    masks = []
    for annotation in picture.annotations:
        if annotation.get("iscrowd"):
            faults.remark("crowds")
            continue
        with faults.caught(f"{source.name}, annotation {annotation.get('id')}"):
            mask = decode_mask(
                annotation.get("segmentation"), picture.height, picture.width
            )
            if mask.any():
                masks.append(mask)
            else:
                faults.remark("annotations without a pixel")
    return masks


def decode_mask(
    segmentation: object, height: int, width: int
) -> Bool[np.ndarray, "h w"]:
    """Draws one object of a COCO file.

    Args:
        segmentation: polygons [[x, y, x, y, ...], ...], or run lengths
            {"size": [height, width], "counts": numbers or packed text}.
        height: of the picture.
        width: of the picture.

    Raises:
        ValueError: none of these, of another size, or far outside the picture.
    """
    if isinstance(segmentation, Mapping):
        return _draw_runs(segmentation, height, width)
    if isinstance(segmentation, list) and segmentation:
        polygons = [_corners(polygon, height, width) for polygon in segmentation]
        drawn = rle.merge(rle.frPyObjects(polygons, height, width))
        return rle.decode(drawn).astype(bool)
    raise ValueError(
        f"segmentation is {str(segmentation)[:40]!r}, expected polygons or run lengths"
    )


def _listed(image: Mapping, annotations: list[Mapping]) -> Listed:
    name = image.get("file_name")
    unique = str(Path(name).with_suffix("")).replace("/", "-") if name else None
    if name is None:  # LVIS: numbers of COCO, unique over all folders
        name = "/".join(image["coco_url"].split("/")[-2:])
        unique = Path(name).stem
    height, width = int(image["height"]), int(image["width"])
    if height < 1 or width < 1 or ".." in name or name.startswith("/"):
        raise ValueError(f"picture {name!r} of {height}x{width}")
    return Listed(unique, name, height, width, annotations)


def _corners(polygon: object, height: int, width: int) -> list[float]:
    try:
        numbers = [float(number) for number in polygon]
    except (TypeError, ValueError) as error:
        raise ValueError("polygon is no list of numbers") from error
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError(
            f"polygon of {len(numbers)} numbers, expected x and y of three or more corners"
        )
    far = _FAR * max(height, width)
    if not all(math.isfinite(number) and abs(number) <= far for number in numbers):
        raise ValueError("polygon has corners that are no numbers or far outside")
    return numbers


def _draw_runs(runs: Mapping, height: int, width: int) -> Bool[np.ndarray, "h w"]:
    if runs.get("size") != [height, width]:
        raise ValueError(
            f"run lengths for {runs.get('size')}, the picture is {[height, width]}"
        )
    counts = runs.get("counts")
    lengths = list(_unpack(counts)) if isinstance(counts, str) else counts
    if (
        not isinstance(lengths, Sequence)
        or not all(isinstance(n, int) and n >= 0 for n in lengths)
        or sum(lengths) != height * width
    ):
        # pycocotools does not check, and reads or writes beyond the picture.
        raise ValueError(f"run lengths do not add up to {height}x{width} pixels")
    return rle.decode(
        rle.frPyObjects({"size": [height, width], "counts": lengths}, height, width)
    ).astype(bool)


def _unpack(text: str) -> Iterator[int]:
    """Run lengths from COCO's packed text.

    Each is written in digits of 5 bits from the lowest, as characters from "0" on, with
    32 where more follow; from the fourth on as the difference to the one before last.
    """
    before: list[int] = []
    value = shift = 0
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64:
            raise ValueError(f"run lengths hold the character {character!r}")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        if len(before) > 2:
            value += before[-2]
        before.append(value)
        yield value
        value = shift = 0
    if shift:
        raise ValueError("run lengths end within a number")
