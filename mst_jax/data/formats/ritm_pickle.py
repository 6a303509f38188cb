"""The form in which the click literature publishes COCO+LVIS (and MST its LoveDA).

`SPLIT/hannotation.pickle`: id -> {"num_instance_masks": n, "hierarchy": {object: None or
{"parent", "children", "node_level"}}}; `SPLIT/masks/ID.pickle`: ([PNG as uint8 array, one
a layer], [(layer, label) of each object]). Objects from n on are stuff.

Source: Sofiiuk et al., Reviving iterative training with mask guidance for interactive
segmentation, ICIP 2022, its published programs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.builders.discovery import Item
from mst_jax.data.builders.folder_dataset import check_size, has_object
from mst_jax.data.errors import BadFile, Faults
from mst_jax.data.example import Place
from mst_jax.data.formats.images import decode_labels, read_picture
from mst_jax.data.plain_pickle import PlainArray, open_pickle
from mst_jax.data.record import make_record


class Note(NamedTuple):
    """What `hannotation.pickle` says of a picture.

    Attributes:
        num_objects: the first so many are objects, the rest is stuff.
        wholes: object -> the object it is a part of.
        wanted: numbers of the objects to keep; None keeps all.
    """

    num_objects: int
    wholes: dict[int, int]
    wanted: frozenset[int] | None = None


class Packed(NamedTuple):
    """The objects of a picture, see `Example`."""

    layers: list[UInt16[np.ndarray, "h w"]]
    parts: list[tuple[int, int, int, int]]
    stuff: list[UInt16[np.ndarray, "h w"]]


def find_packed(folder: Path) -> tuple[list[Item], dict[str, Note]]:
    """The pictures of a split in the order of their ids, and what is said of each.

    Raises:
        ValueError: `hannotation.pickle` is damaged, harmful or something else.
    """
    notes = read_notes(folder / "hannotation.pickle")
    items = [
        Item(
            name,
            folder / "images" / f"{name}.jpg",
            (folder / "masks" / f"{name}.pickle",),
        )
        for name in notes
    ]
    return items, notes


def read_packed(item: Item, note: Note, faults: Faults) -> Iterator[dict[str, object]]:
    """Yields the record of a picture, or none if nothing of it is wanted.

    Raises:
        BadFile: the picture or its masks are bad.
    """
    picture = read_picture(item.picture)
    (masks,) = item.masks
    try:
        packed = open_packed(masks, note)
        check_size([*packed.layers, *packed.stuff], picture)
    except (ValueError, OSError) as error:
        raise BadFile(masks, error) from error
    if not any(has_object(labels) for labels in packed.layers):
        faults.remark("pictures without an object")
        return
    yield make_record(
        item.id,
        picture.data,
        packed.layers,
        parts=packed.parts,
        stuff=packed.stuff,
    )


def read_size_classes(path: Path) -> dict[str, dict[int, frozenset[int]]]:
    """Opens MST's `lovedams.npy`: size class -> number of the picture -> objects.

    Raises:
        ValueError: damaged, harmful or something else; names the file.
    """
    with _opening(path), path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        (classes,) = open_pickle(file.read()).value
        return {
            str(name): {
                int(number): frozenset(int(k) for k in objects)
                for number, objects in pictures.items()
            }
            for name, pictures in classes.items()
        }


def read_notes(path: Path) -> dict[str, Note]:
    """Opens `hannotation.pickle`: id of the picture -> what is said of it.

    Raises:
        ValueError: damaged, harmful or something else; names the file.
    """
    with _opening(path):
        tree = open_pickle(path.read_bytes())
        return {str(name): _note(entry) for name, entry in sorted(tree.items())}


def open_packed(path: Path, note: Note) -> Packed:
    """Opens the masks of a picture.

    Args:
        path: `masks/ID.pickle`.
        note: what `hannotation.pickle` says of it.

    Raises:
        ValueError: damaged, harmful, or at odds with the note.
    """
    try:
        encoded, mapping = open_pickle(path.read_bytes())
        maps = [decode_labels(_bytes_of(item)) for item in encoded]
        places = [Place(int(layer), int(label)) for layer, label in mapping]
    except TypeError as error:
        raise ValueError(f"does not nest as packed masks do ({error})") from error
    strange = [p for p in places if not 0 <= p.layer < len(maps)]
    if note.num_objects > len(places) or strange:
        raise ValueError(
            f"has {len(places)} objects in {len(maps)} layers, which is at odds with "
            "itself or with hannotation.pickle"
        )
    objects = set(range(note.num_objects))
    kept = objects if note.wanted is None else objects & note.wanted
    layers, moved = _only(maps, [places[k] for k in sorted(kept)])
    stuff, _ = _only(maps, places[note.num_objects :])
    parts = [
        (*moved[places[part]], *moved[places[whole]])
        for part, whole in note.wholes.items()
        if part in kept and whole in kept
    ]
    return Packed(layers, parts, stuff)


@contextlib.contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Names the file in whatever its content leads to."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} cannot be used: {error!r}") from error


def _note(entry: Mapping) -> Note:
    number = int(entry["num_instance_masks"])
    wholes = {
        int(part): int(info["parent"])
        for part, info in entry["hierarchy"].items()
        if info is not None and info["parent"] is not None
    }
    strange = [k for pair in wholes.items() for k in pair if not 0 <= k < number]
    if strange:
        raise ValueError(f"hierarchy of {number} objects has an object {strange[0]}")
    return Note(number, wholes)


def _bytes_of(item: object) -> bytes:
    if not isinstance(item, PlainArray) or isinstance(item.value, list):
        raise TypeError("a layer is no array of bytes")
    return item.value.astype(np.uint8).tobytes()


def _only(
    maps: list[UInt16[np.ndarray, "h w"]], places: list[Place]
) -> tuple[list[UInt16[np.ndarray, "h w"]], dict[Place, Place]]:
    """The label maps with nothing but these objects, empty ones left out.

    Returns:
        The label maps, and the new place of each object.
    """
    used = sorted({place.layer for place in places})
    kept = []
    for layer in used:
        labels = [place.label for place in places if place.layer == layer]
        chosen: Bool[np.ndarray, "h w"] = np.isin(maps[layer], labels)
        kept.append(np.where(chosen, maps[layer], np.uint16(0)))
    moved = {place: Place(used.index(place.layer), place.label) for place in places}
    return kept, moved
