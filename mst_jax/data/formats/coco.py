"""Read COCO json files (also LVIS): the images they list and the objects as masks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np
from jaxtyping import Bool

from mst_jax.data.file_errors import ErrorCollector
from mst_jax.data.formats.coco_segmentation import (
    decode_segmentation,
    is_sliver,
    list_rings,
)


class CocoImage(NamedTuple):
    """An image that a COCO file lists.

    Attributes:
        id: Name of the image file without suffix; a folder is joined with a dash.
        file_name: Name of the image file with its folders, relative, with "/".
        height: Height of the image in pixels, None if the file does not say.
        width: Width of the image in pixels, None if the file does not say.
        annotations: Annotations of its objects, unchanged from the file.
    """

    id: str
    file_name: str
    height: int | None
    width: int | None
    annotations: list[Mapping[str, Any]]


def read_coco_images(path: Path, errors: ErrorCollector) -> list[CocoImage]:
    """Read the images of a COCO file with their annotations, in order of file names.

    The name is `file_name`, or folder and file of `coco_url` where there is none (LVIS).
    Entries that cannot be used are recorded as errors.

    Args:
        path: Path of the COCO json file.
        errors: Collector of the errors.

    Raises:
        ValueError: The file is not JSON, or has no lists of images and annotations.
    """
    image_entries, annotation_entries = _read_entries(path)
    # 1. The images by their ids, which are numbers or text.
    images_by_id: dict[str, CocoImage] = {}
    for index, image_entry in enumerate(image_entries):
        with errors.collect_errors(f"{path.name}, image {index}"):
            image_id, coco_image = _parse_image(image_entry)
            if image_id in images_by_id:
                first_name = images_by_id[image_id].file_name
                raise ValueError(f"has the id {image_id} of {first_name}")
            images_by_id[image_id] = coco_image
    # 2. The annotations, which stand in one list for all images.
    unlisted_counts: dict[str, int] = {}
    for index, annotation in enumerate(annotation_entries):
        if not isinstance(annotation, Mapping) or "image_id" not in annotation:
            errors.add_error(f"{path.name}, annotation {index}", "has no image_id")
            continue
        image_id = str(annotation["image_id"])
        if image_id in images_by_id:
            images_by_id[image_id].annotations.append(annotation)
        else:
            unlisted_counts[image_id] = unlisted_counts.get(image_id, 0) + 1
    for image_id, num_annotations in unlisted_counts.items():
        errors.add_error(
            f"{path.name}, image id {image_id}",
            f"has {num_annotations} annotations but is not listed",
        )
    return sorted(images_by_id.values(), key=lambda image: image.file_name)


def decode_objects(
    coco_image: CocoImage,
    coco_file: Path,
    errors: ErrorCollector,
    *,
    image_size: tuple[int, int],
) -> list[Bool[np.ndarray, "h w"]]:
    """Decode the masks of an image's objects; bad annotations are recorded as errors.

    Crowds, annotations without a segmentation (boxes, keypoints) and annotations without
    a single pixel are left out and counted, and so are rings of under three corners.

    Args:
        coco_image: Image as the COCO file lists it.
        coco_file: Path of the COCO file, named in the errors.
        errors: Collector of the errors.
        image_size: Height and width of the image in pixels.

    Returns:
        [h w] masks, each with at least one pixel.
    """
    masks = []
    for annotation in coco_image.annotations:
        # A crowd is a region of many objects that nobody separated.
        if annotation.get("iscrowd"):
            errors.count_skipped("crowds (iscrowd is 1)")
            continue
        segmentation = annotation.get("segmentation")
        if segmentation is None or segmentation == []:
            errors.count_skipped("annotations without a segmentation")
            continue
        annotation_name = f"{coco_file.name}, annotation {annotation.get('id')}"
        with errors.collect_errors(annotation_name):
            mask = decode_segmentation(segmentation, *image_size)
            slivers = [ring for ring in list_rings(segmentation) if is_sliver(ring)]
            errors.count_skipped("rings of under three corners", len(slivers))
            if mask.any():
                masks.append(mask)
            else:
                errors.count_skipped("annotations without a pixel")
    return masks


def clean_file_name(file_name: str) -> str:
    """Return the path of an image as a relative path with "/".

    Tools write backslashes, `./`, absolute paths and addresses on the web.

    Args:
        file_name: Name of an image as a tool writes it.

    Raises:
        ValueError: There is no name.
    """
    if "://" in file_name:
        file_name = urlsplit(file_name).path
    path_parts = [
        path_part
        for path_part in PurePosixPath(file_name.replace("\\", "/")).parts
        if path_part not in ("/", ".") and not path_part.endswith(":")
    ]
    # A name may not lead out of the folder of images.
    while ".." in path_parts:
        path_parts = path_parts[path_parts.index("..") + 1 :]
    if not path_parts or "\0" in file_name:
        raise ValueError(f"has the file name {file_name!r}, expected that of an image")
    return "/".join(path_parts)


def list_name_variants(file_name: str) -> Iterator[str]:
    """Yield a name as it is, and decoded if it is percent-encoded (`my%20cat.jpg`)."""
    yield file_name
    if unquote(file_name) != file_name:
        decoded_name = clean_file_name(unquote(file_name))
        yield decoded_name


def _read_entries(path: Path) -> tuple[Sequence[Any], Sequence[Any]]:
    """Read the lists of images and annotations; ValueError without them."""
    try:
        # Bytes: the module finds UTF-8 with a byte order mark and UTF-16.
        file_content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path} nests too deep to be read") from error
    return (
        _get_entry_list(file_content, "images", path),
        _get_entry_list(file_content, "annotations", path),
    )


def _get_entry_list(file_content: Any, key: str, path: Path) -> Sequence[Any]:
    """Return a list of a COCO file; ValueError without it."""
    entries = file_content.get(key) if isinstance(file_content, Mapping) else None
    if not isinstance(entries, list):
        raise ValueError(
            f"{path} is not a COCO file: it has no list {key!r}; expected images with "
            "id and file_name, and annotations with image_id and segmentation"
        )
    return entries


def _parse_image(image_entry: Any) -> tuple[str, CocoImage]:
    """Check an entry of the list of images; return its id as text, and the image."""
    if not isinstance(image_entry, Mapping) or image_entry.get("id") is None:
        raise ValueError("has no id")
    listed_name = image_entry.get("file_name")
    image_address = listed_name or image_entry.get("coco_url")
    if not isinstance(image_address, str):
        raise ValueError("has no file_name")
    file_name = clean_file_name(image_address)
    if listed_name:
        image_name = str(Path(file_name).with_suffix("")).replace("/", "-")
    else:
        # LVIS names the images by COCO's numbers, which are unique over all folders.
        file_name = "/".join(file_name.split("/")[-2:])
        image_name = Path(file_name).stem
    height, width = (_parse_side(image_entry, key) for key in ("height", "width"))
    coco_image = CocoImage(image_name, file_name, height, width, [])
    return str(image_entry["id"]), coco_image


def _parse_side(image_entry: Mapping[str, Any], key: str) -> int | None:
    """Return the height or width of an image, None if it is missing or 0."""
    stored_value = image_entry.get(key)
    if stored_value in (None, 0, ""):
        return None
    try:
        side = float(stored_value)
    except (TypeError, ValueError):
        side = math.nan
    if not 1 <= side < 2**31 or side != int(side):
        raise ValueError(f"has the {key} {stored_value!r}, expected a number of pixels")
    return int(side)
