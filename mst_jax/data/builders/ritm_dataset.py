"""Items and records of datasets in RITM's packed form: COCO+LVIS and MST's LoveDA."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mst_jax.data.builders.discovery import SourceItem
from mst_jax.data.builders.folder_dataset import check_layer_sizes, contains_object
from mst_jax.data.file_errors import BadFileError, ErrorCollector
from mst_jax.data.formats.images import read_image
from mst_jax.data.formats.ritm_pickle import (
    RitmAnnotation,
    decode_ritm_masks,
    read_ritm_annotations,
)
from mst_jax.data.record import encode_record

ANNOTATION_FILE = "hannotation.pickle"


def find_ritm_items(
    split_folder: Path,
) -> tuple[list[SourceItem], dict[str, RitmAnnotation]]:
    """List the images of a split in the order of their ids.

    Args:
        split_folder: Folder with `hannotation.pickle`, `images/` and `masks/`.

    Returns:
        The images, and the annotation of each by its id.

    Raises:
        ValueError: `hannotation.pickle` is damaged, unsafe to unpickle, or of another
            format.
    """
    annotations = read_ritm_annotations(split_folder / ANNOTATION_FILE)
    source_items = [
        SourceItem(
            image_id,
            split_folder / "images" / f"{image_id}.jpg",
            (split_folder / "masks" / f"{image_id}.pickle",),
        )
        for image_id in annotations
    ]
    return source_items, annotations


def read_ritm_records(
    item: SourceItem, annotation: RitmAnnotation, errors: ErrorCollector
) -> Iterator[dict[str, Any]]:
    """Yield the record of an image, or none if no object of it is selected.

    Args:
        item: The image and its one mask file.
        annotation: Annotation of the image, see `find_ritm_items`.
        errors: Counts images without an object.

    Raises:
        BadFileError: The image or its mask file is bad.
    """
    encoded_image = read_image(item.image_path)
    (mask_path,) = item.mask_paths
    # Errors of the masks name the mask file, not the image that is being read.
    try:
        ritm_masks = decode_ritm_masks(mask_path, annotation)
        check_layer_sizes([*ritm_masks.layers, *ritm_masks.stuff], encoded_image)
    except (ValueError, OSError) as error:
        raise BadFileError(mask_path, error) from error
    # A variant may select none of the objects.
    if not any(contains_object(labels) for labels in ritm_masks.layers):
        errors.count_skipped("images without an object")
        return
    yield encode_record(
        item.id,
        encoded_image.data,
        ritm_masks.layers,
        parts=ritm_masks.parts,
        stuff=ritm_masks.stuff,
    )
