"""Read the packed form of COCO+LVIS that RITM publishes.

MST publishes LoveDA in this form, too.

`SPLIT/hannotation.pickle`: id -> {"num_instance_masks": n, "hierarchy": {object: None or
{"parent", "children", "node_level"}}}; `SPLIT/masks/ID.pickle`: ([PNG as uint8 array, one
per layer], [(layer, label) of each object]). Objects from n on are stuff.

Source: Sofiiuk et al., Reviving iterative training with mask guidance for interactive
segmentation, ICIP 2022, its published programs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.example import ObjectId
from mst_jax.data.formats.instance_masks import join_object_ids
from mst_jax.data.formats.label_maps import decode_label_map
from mst_jax.safe_pickle import PickledArray, read_pickled_arrays


class RitmAnnotation(NamedTuple):
    """The entry of an image in `hannotation.pickle`.

    Attributes:
        num_objects: Number of objects, which come first; all after them are stuff.
        parents: Index of the whole object, by the index of its part.
        selected: Indices of the objects to read; None reads all.
    """

    num_objects: int
    parents: dict[int, int]
    selected: frozenset[int] | None = None


class RitmMasks(NamedTuple):
    """The objects of an image, in the form of `Example`.

    Attributes:
        layers: [h w] uint16 label maps of the objects.
        parts: Layer and label of a part, then of its parent, one row per part.
        stuff: [h w] uint16 label maps of areas that are not objects.
    """

    layers: list[UInt16[np.ndarray, "h w"]]
    parts: list[tuple[int, int, int, int]]
    stuff: list[UInt16[np.ndarray, "h w"]]


def read_size_classes(path: Path) -> dict[str, dict[int, frozenset[int]]]:
    """Read MST's `lovedams.npy`.

    Args:
        path: Path of the .npy file.

    Returns:
        Size class -> index of the image -> indices of its objects of that class.

    Raises:
        ValueError: The file is damaged, unsafe to unpickle, or of another format; the
            message names it.
    """
    with _name_file_in_errors(path), path.open("rb") as npy_file:
        # NumPy would unpickle the content; so only its header is read by NumPy.
        np.lib.format.read_magic(npy_file)
        np.lib.format.read_array_header_1_0(npy_file)
        # A dict is pickled as an array of one object.
        (size_classes,) = read_pickled_arrays(npy_file.read()).value
        return {
            str(class_name): {
                int(image_index): frozenset(
                    int(object_index) for object_index in object_indices
                )
                for image_index, object_indices in image_objects.items()
            }
            for class_name, image_objects in size_classes.items()
        }


def read_ritm_annotations(path: Path) -> dict[str, RitmAnnotation]:
    """Read `hannotation.pickle`.

    Args:
        path: Path of the pickle.

    Returns:
        The annotation of each image, by the id of the image, in order of the ids.

    Raises:
        ValueError: The file is damaged, unsafe to unpickle, or of another format; the
            message names it.
    """
    with _name_file_in_errors(path):
        file_content = read_pickled_arrays(path.read_bytes())
        return {
            str(image_id): _parse_annotation(pickled_entry)
            for image_id, pickled_entry in sorted(file_content.items())
        }


def decode_ritm_masks(path: Path, annotation: RitmAnnotation) -> RitmMasks:
    """Decode the masks of an image.

    Args:
        path: Path of `masks/ID.pickle`.
        annotation: Entry of the image in `hannotation.pickle`.

    Raises:
        ValueError: The file is damaged, unsafe to unpickle, or contradicts the
            annotation.
    """
    try:
        encoded_layers, object_mapping = read_pickled_arrays(path.read_bytes())
        label_maps = [
            decode_label_map(_array_bytes(pickled_item), may_be_smoothed=False)
            for pickled_item in encoded_layers
        ]
        object_ids = [
            ObjectId(int(layer), int(label)) for layer, label in object_mapping
        ]
    except TypeError as error:
        raise ValueError(f"has an unexpected structure ({error})") from error
    # 1. Every object lies in a layer that exists, and none is missing.
    has_bad_layer = any(
        not 0 <= object_id.layer < len(label_maps) for object_id in object_ids
    )
    if annotation.num_objects > len(object_ids) or has_bad_layer:
        raise ValueError(
            f"has {len(object_ids)} objects in {len(label_maps)} layers, which "
            "contradicts itself or hannotation.pickle"
        )
    # 2. The selected objects and the stuff, each in layers of their own.
    selected = set(range(annotation.num_objects))
    if annotation.selected is not None:
        selected &= annotation.selected
    selected_ids = [object_ids[object_index] for object_index in sorted(selected)]
    layers, new_ids = _extract_objects(label_maps, selected_ids)
    stuff, _ = _extract_objects(label_maps, object_ids[annotation.num_objects :])
    # 3. Parts whose parent is selected as well, at their new positions.
    parts = [
        join_object_ids(
            new_ids[object_ids[part_index]], new_ids[object_ids[parent_index]]
        )
        for part_index, parent_index in annotation.parents.items()
        if part_index in selected and parent_index in selected
    ]
    return RitmMasks(layers, parts, stuff)


@contextlib.contextmanager
def _name_file_in_errors(path: Path) -> Iterator[None]:
    """Name the file in every error that its content causes in the `with` block."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} cannot be used: {error!r}") from error


def _parse_annotation(pickled_entry: Mapping[str, Any]) -> RitmAnnotation:
    """Check an entry of `hannotation.pickle`."""
    num_objects = int(pickled_entry["num_instance_masks"])
    parents = {
        int(part_index): int(hierarchy_node["parent"])
        for part_index, hierarchy_node in pickled_entry["hierarchy"].items()
        if hierarchy_node is not None and hierarchy_node["parent"] is not None
    }
    # A parent that does not exist would fail much later.
    unknown_indices = [
        object_index
        for index_pair in parents.items()
        for object_index in index_pair
        if not 0 <= object_index < num_objects
    ]
    if unknown_indices:
        raise ValueError(
            f"hierarchy of {num_objects} objects has an object {unknown_indices[0]}"
        )
    return RitmAnnotation(num_objects, parents)


def _array_bytes(pickled_item: Any) -> bytes:
    """Return the bytes of an encoded PNG that the pickle holds as an array."""
    if not isinstance(pickled_item, PickledArray) or isinstance(
        pickled_item.value, list
    ):
        raise TypeError("a layer is not an array of bytes")
    return pickled_item.value.astype(np.uint8).tobytes()


def _extract_objects(
    label_maps: Sequence[UInt16[np.ndarray, "h w"]], object_ids: Sequence[ObjectId]
) -> tuple[list[UInt16[np.ndarray, "h w"]], dict[ObjectId, ObjectId]]:
    """Return the label maps with nothing but some objects, empty maps left out.

    Args:
        label_maps: [h w] label maps of all objects.
        object_ids: Layers and labels of the objects to extract.

    Returns:
        The label maps, and the new id of each object by its old one.
    """
    used_layers = sorted({object_id.layer for object_id in object_ids})
    extracted_maps = []
    for layer in used_layers:
        labels = [
            object_id.label for object_id in object_ids if object_id.layer == layer
        ]
        is_extracted: Bool[np.ndarray, "h w"] = np.isin(label_maps[layer], labels)
        extracted_maps.append(np.where(is_extracted, label_maps[layer], np.uint16(0)))
    # Labels stay; layers are renumbered without the empty ones.
    new_ids = {
        object_id: ObjectId(used_layers.index(object_id.layer), object_id.label)
        for object_id in object_ids
    }
    return extracted_maps, new_ids
