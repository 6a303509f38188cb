"""Export the finished objects of the whole folder: one COCO file, or label maps."""

import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, Literal

from mst_jax.annotation.files.export_formats import (
    UNLABELED_NAME,
    export_label_map,
    list_categories,
)
from mst_jax.annotation.files.polygons import to_polygons
from mst_jax.annotation.files.run_lengths import decode_mask, to_encoded_mask
from mst_jax.annotation.sessions.mask_files import without_suffix
from mst_jax.annotation.sessions.save_folder import choose_output_stem
from mst_jax.annotation.sessions.session_export import read_saved_export
from mst_jax.annotation.store.database import Database
from mst_jax.annotation.store.labels import LabelList
from mst_jax.extras import needs_extra

with needs_extra("serve"):
    from pycocotools import mask as coco_mask

FolderExportFormat = Literal["coco", "coco_rle", "labels"]
"""COCO with polygons, COCO with run lengths, zip file of label maps."""

_IMAGES = (
    "FROM sessions WHERE folder_name IS NOT NULL AND EXISTS (SELECT 1 FROM objects "
    "WHERE objects.session_id = sessions.session_id AND saved_mask IS NOT NULL AND "
    "deleted_revision IS NULL) ORDER BY folder_name"
)


def write_folder_export(
    file: IO[bytes],
    database: Database,
    labels: LabelList,
    export_format: FolderExportFormat,
) -> None:
    """Write the finished objects of all images of the folder.

    Args:
        file: File to write to; images are written one by one.
        database: Database of the server.
        labels: Labels of the server.
        export_format: Format of the file.
    """
    if export_format == "labels":
        _write_label_maps(file, database, labels)
        return
    write_segmentation = (
        _write_polygons if export_format == "coco" else _write_run_lengths
    )
    _write_coco(file, database, labels, write_segmentation)


def _write_label_maps(file: IO[bytes], database: Database, labels: LabelList) -> None:
    """Write a zip file of label maps, named as the output files of --save."""
    rows = database.fetch_all(f"SELECT session_id, folder_name, output_stem {_IMAGES}")
    # Also images without objects decide how those of the same stem are named.
    name_rows = database.fetch_all("SELECT name FROM folder_images")
    stems = _choose_stems(rows, [row["name"] for row in name_rows])
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zip_archive:
        for row, stem in zip(rows, stems, strict=True):
            export = read_saved_export(database, labels, row["session_id"])
            zip_archive.writestr(f"{stem}.png", export_label_map(export).data)


def _choose_stems(rows: Sequence[sqlite3.Row], image_names: Iterable[str]) -> list[str]:
    """Return the path of each label map without `.png`; an import finds the image."""
    names = {*image_names, *(row["folder_name"] for row in rows)}
    siblings: dict[str, list[str]] = {}
    for name in names:
        siblings.setdefault(without_suffix(name), []).append(name)
    stems = {row["output_stem"] for row in rows if row["output_stem"]}

    def choose(image_name: str) -> str:
        # The full name of another image would be imported into that image.
        same_stem = siblings[without_suffix(image_name)]
        stem = choose_output_stem(
            image_name,
            same_stem,
            lambda stem: stem in stems or (stem in names and stem != image_name),
        )
        stems.add(stem)
        return stem

    return [row["output_stem"] or choose(row["folder_name"]) for row in rows]


def _write_coco(
    file: IO[bytes],
    database: Database,
    labels: LabelList,
    write_segmentation: Callable[[bytes], Any],
) -> None:
    """Write a COCO file piece by piece; memory is needed for one object only."""
    rows = database.fetch_all(
        f"SELECT session_id, folder_name, height, width {_IMAGES}"
    )
    labels.keep(UNLABELED_NAME)
    images = [
        {
            "id": image_id,
            "file_name": row["folder_name"],
            "height": row["height"],
            "width": row["width"],
        }
        for image_id, row in enumerate(rows, 1)
    ]
    annotations = (
        {"image_id": image_id, **annotation}
        for image_id, row in enumerate(rows, 1)
        for annotation in _iter_annotations(
            database, labels, row["session_id"], write_segmentation
        )
    )
    header = {"images": images, "categories": list_categories(labels.category_ids)}
    file.write(json.dumps(header)[:-1].encode() + b', "annotations": [')
    for annotation_id, annotation in enumerate(annotations, 1):
        separator = b",\n" if annotation_id > 1 else b"\n"
        file.write(separator + json.dumps({"id": annotation_id, **annotation}).encode())
    file.write(b"]}\n")


def _iter_annotations(
    database: Database,
    labels: LabelList,
    session_id: str,
    write_segmentation: Callable[[bytes], Any],
) -> Iterator[dict[str, Any]]:
    rows = database.fetch_all(
        "SELECT object_id, label_id, color, saved_mask FROM objects WHERE session_id = ? "
        "AND deleted_revision IS NULL AND saved_mask IS NOT NULL ORDER BY object_id",
        (session_id,),
    )
    for row in rows:
        encoded_mask: Any = to_encoded_mask(row["saved_mask"])
        yield {
            "category_id": labels.category_ids[
                labels.name_of(row["label_id"]) or UNLABELED_NAME
            ],
            "segmentation": write_segmentation(row["saved_mask"]),
            "area": int(coco_mask.area(encoded_mask)),
            "bbox": coco_mask.toBbox(encoded_mask).tolist(),
            "iscrowd": 0,
            "object_id": row["object_id"],
            "color": row["color"],
        }


def _write_run_lengths(data: bytes) -> dict[str, Any]:
    encoded_mask = to_encoded_mask(data)
    return {**encoded_mask, "counts": encoded_mask["counts"].decode()}


def _write_polygons(data: bytes) -> list[list[int]]:
    return to_polygons(decode_mask(data))
