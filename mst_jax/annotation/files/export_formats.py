"""Export the objects of a session: label map, COCO JSON, NumPy archive or zip."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool

from mst_jax.annotation.files.polygons import to_polygons
from mst_jax.annotation.files.run_lengths import to_coco_rle
from mst_jax.data.formats.images import encode_png
from mst_jax.extras import needs_extra

with needs_extra("serve"):
    pass

ExportFormat = Literal["labels", "coco", "coco_rle", "numpy", "zip"]
"""Names of the formats that a client can request."""


UNLABELED_NAME = "object"
"""COCO category of the objects without a label."""


class LabeledMask(NamedTuple):
    """An exported object.

    Attributes:
        object_id: ID from 1, unique in the session; the label of the object.
        name: Label given by the user, which is the COCO category; None = no label.
        color: Color such as "#2c82ff"; None = unknown.
        mask: [h w] object pixels.
    """

    object_id: int
    name: str | None
    color: str | None
    mask: Bool[np.ndarray, "h w"]


class SessionExport(NamedTuple):
    """The content of a session that is exported.

    Attributes:
        image_name: Name of the image file.
        image_data: JPEG or PNG bytes of the image.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        iter_objects: Returns an iterator over the objects that have a mask; masks are
            computed one at a time.
        state: JSON tree with the clicks and the history, for the zip file.
        category_ids: Label -> COCO category ID, the same in all files of a server. It
            has `UNLABELED_NAME` if an object has no label.
    """

    image_name: str
    image_data: bytes
    height: int
    width: int
    iter_objects: Callable[[], Iterator[LabeledMask]]
    state: Mapping[str, Any]
    category_ids: Mapping[str, int]


class ExportedFile(NamedTuple):
    """A file to download.

    Attributes:
        data: Bytes of the file.
        media_type: Content type for HTTP.
        suffix: File suffix with its dot.
    """

    data: bytes
    media_type: str
    suffix: str


def export_label_map(export: SessionExport) -> ExportedFile:
    """Return a PNG of the object IDs; later objects cover earlier ones.

    The PNG has 8 bits if the IDs are below 256, else 16 bits.
    """
    # Later objects cover earlier ones, because they are drawn over them.
    label_map = np.zeros((export.height, export.width), np.uint16)
    for labeled_mask in export.iter_objects():
        label_map[labeled_mask.mask] = labeled_mask.object_id
    if label_map.max() < 256:
        label_map = label_map.astype(np.uint8)
    return ExportedFile(encode_png(label_map), "image/png", ".png")


def export_coco_polygons(export: SessionExport) -> ExportedFile:
    """Return COCO JSON with polygons along the pixel edges."""
    return _export_coco(export, to_polygons)


def export_coco_rle(export: SessionExport) -> ExportedFile:
    """Return COCO JSON with compressed run lengths."""
    return _export_coco(export, to_coco_rle)


def export_numpy(export: SessionExport) -> ExportedFile:
    """Return an npz file with one bool mask per object ID, and `object_names` [n 2]."""
    file, object_names = io.BytesIO(), {}
    # Written member by member: np.savez would need all masks in memory at once.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zip_archive:
        for labeled_mask in export.iter_objects():
            object_name = labeled_mask.name or UNLABELED_NAME
            object_names[labeled_mask.object_id] = object_name
            _add_array(zip_archive, f"{labeled_mask.object_id}.npy", labeled_mask.mask)
        id_name_pairs = [
            (str(object_id), name) for object_id, name in object_names.items()
        ]
        _add_array(
            zip_archive, "names.npy", np.array(id_name_pairs, str).reshape(-1, 2)
        )
    return ExportedFile(file.getvalue(), "application/octet-stream", ".npz")


def export_zip(export: SessionExport) -> ExportedFile:
    """Return a zip file with the image, all formats, one PNG per mask and the state."""
    file = io.BytesIO()
    is_png = export.image_data.startswith(b"\x89PNG")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zip_archive:
        zip_archive.writestr("image.png" if is_png else "image.jpg", export.image_data)
        zip_archive.writestr("state.json", json.dumps(export.state, indent=1))
        for name, export_format in EXPORT_FORMATS.items():
            if export_format is not export_zip:
                exported_file = export_format(export)
                zip_archive.writestr(name + exported_file.suffix, exported_file.data)
        for labeled_mask in export.iter_objects():
            png_data = encode_png(labeled_mask.mask * np.uint8(255))
            zip_archive.writestr(f"masks/{labeled_mask.object_id}.png", png_data)
    return ExportedFile(file.getvalue(), "application/zip", ".zip")


EXPORT_FORMATS: dict[ExportFormat, Callable[[SessionExport], ExportedFile]] = {
    "labels": export_label_map,
    "coco": export_coco_polygons,
    "coco_rle": export_coco_rle,
    "numpy": export_numpy,
    "zip": export_zip,
}
"""Name of each format -> the function that writes it."""


def list_categories(category_ids: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the list of categories of a COCO file, sorted by ID.

    Args:
        category_ids: Label -> category ID.
    """
    return [
        {"id": category_id, "name": name}
        for name, category_id in sorted(
            category_ids.items(), key=lambda name_and_id: name_and_id[1]
        )
    ]


def _export_coco(
    export: SessionExport,
    to_segmentation: Callable[[Bool[np.ndarray, "h w"]], list | dict],
) -> ExportedFile:
    """Return COCO JSON with all labels as categories; annotation IDs are object IDs.

    Departure: annotations have a key `color`, which COCO does not know.
    """
    annotations = [
        {
            "id": labeled_mask.object_id,
            "image_id": 1,
            "category_id": export.category_ids[labeled_mask.name or UNLABELED_NAME],
            "segmentation": to_segmentation(labeled_mask.mask),
            "area": int(labeled_mask.mask.sum()),
            "bbox": _bounding_box(labeled_mask.mask),
            "iscrowd": 0,
            "color": labeled_mask.color,
        }
        for labeled_mask in export.iter_objects()
    ]
    # One file describes one image.
    image = {
        "id": 1,
        "file_name": export.image_name,
        "height": export.height,
        "width": export.width,
    }
    coco_tree = {
        "images": [image],
        "annotations": annotations,
        "categories": list_categories(export.category_ids),
    }
    return ExportedFile(json.dumps(coco_tree).encode(), "application/json", ".json")


def _bounding_box(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """Return the box of a mask that is not empty: left, top, width, height."""
    object_rows, object_columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    top, left = int(object_rows[0]), int(object_columns[0])
    return [
        left,
        top,
        int(object_columns[-1]) + 1 - left,
        int(object_rows[-1]) + 1 - top,
    ]


def _add_array(zip_archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    # The size of a member is unknown when it is opened, so it may exceed 4 GiB.
    with zip_archive.open(name, "w", force_zip64=True) as archive_member:
        np.lib.format.write_array(archive_member, array, allow_pickle=False)
