"""Objects as files: a label map, COCO json, NumPy, or everything as zip."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as rle

from mst_jax.annotation.files.polygons import to_polygons
from mst_jax.data.formats.images import encode_png


class Named(NamedTuple):
    """An object with its mask, as it is exported."""

    number: int
    name: str
    colour: str
    mask: Bool[np.ndarray, "h w"]


class Export(NamedTuple):
    """A picture and what is exported of it.

    Attributes:
        name: of the picture's file.
        picture: its bytes, JPEG or PNG.
        height: of the picture.
        width: of the picture.
        objects: goes over the objects that have a mask, each time it is called; masks
            are made one at a time.
        state: what tells the clicks, for the zip; anything that JSON takes.
    """

    name: str
    picture: bytes
    height: int
    width: int
    objects: Callable[[], Iterator[Named]]
    state: object


class Download(NamedTuple):
    """A file for the user."""

    data: bytes
    media_type: str
    suffix: str


def labels(export: Export) -> Download:
    """A PNG of the objects' numbers, 8-bit if they fit; later objects cover earlier."""
    picture = np.zeros((export.height, export.width), np.uint16)
    for one in export.objects():
        picture[one.mask] = one.number
    if picture.max() < 256:
        picture = picture.astype(np.uint8)
    return Download(encode_png(picture), "image/png", ".png")


def coco(export: Export) -> Download:
    """COCO json with polygons along the edges of pixels."""
    return _coco(export, to_polygons)


def coco_rle(export: Export) -> Download:
    """COCO json with compressed run lengths."""
    return _coco(export, _to_runs)


def numpy(export: Export) -> Download:
    """An npz with a bool mask for each object, named by its number, and `names`."""
    file, names = io.BytesIO(), {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in export.objects():
            names[one.number] = one.name
            _add_array(archive, f"{one.number}.npy", one.mask)
        pairs = [(str(number), name) for number, name in names.items()]
        _add_array(archive, "names.npy", np.array(pairs, str).reshape(-1, 2))
    return Download(file.getvalue(), "application/octet-stream", ".npz")


def everything(export: Export) -> Download:
    """A zip of the picture, all forms, a PNG for each mask, and the clicks."""
    file = io.BytesIO()
    is_png = export.picture.startswith(b"\x89PNG")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("picture.png" if is_png else "picture.jpg", export.picture)
        archive.writestr("state.json", json.dumps(export.state, indent=1))
        for name, form in FORMS.items():
            if form is not everything:
                made = form(export)
                archive.writestr(name + made.suffix, made.data)
        for one in export.objects():
            png = encode_png(one.mask * np.uint8(255))
            archive.writestr(f"masks/{one.number}.png", png)
    return Download(file.getvalue(), "application/zip", ".zip")


FORMS: dict[str, Callable[[Export], Download]] = {
    "labels": labels,
    "coco": coco,
    "coco_rle": coco_rle,
    "numpy": numpy,
    "zip": everything,
}
"""What a client may ask for."""


def _coco(
    export: Export, segment: Callable[[Bool[np.ndarray, "h w"]], object]
) -> Download:
    """COCO json; objects of one name are of one category. Colours are our addition."""
    categories: dict[str, int] = {}
    annotations = []
    for one in export.objects():
        rows, columns = (one.mask.any(axis).nonzero()[0] for axis in (1, 0))
        top, left = int(rows[0]), int(columns[0])
        annotations.append(
            {
                "id": one.number,
                "image_id": 1,
                "category_id": categories.setdefault(one.name, len(categories) + 1),
                "segmentation": segment(one.mask),
                "area": int(one.mask.sum()),
                "bbox": [
                    left,
                    top,
                    int(columns[-1]) + 1 - left,
                    int(rows[-1]) + 1 - top,
                ],
                "iscrowd": 0,
                "colour": one.colour,
            }
        )
    image = {"id": 1, "file_name": export.name}
    tree = {
        "images": [image | {"height": export.height, "width": export.width}],
        "annotations": annotations,
        "categories": [{"id": id, "name": name} for name, id in categories.items()],
    }
    return Download(json.dumps(tree).encode(), "application/json", ".json")


def _to_runs(mask: Bool[np.ndarray, "h w"]) -> dict[str, object]:
    runs = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": runs["counts"].decode()}


def _add_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(name, "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)
