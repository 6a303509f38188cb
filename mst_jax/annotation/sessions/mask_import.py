"""Add objects from masks: label maps, COCO files and zip files of label maps."""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt16

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.export_formats import UNLABELED_NAME, LabeledMask
from mst_jax.annotation.files.uploads import open_label_map
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.sessions.annotation_session import AnnotationSession
from mst_jax.annotation.sessions.mask_files import without_suffix
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.annotation.store.history import AnnotatedObject
from mst_jax.data.example import IGNORE_LABEL
from mst_jax.data.formats.annotation_files import match_mask_name
from mst_jax.data.formats.coco_segmentation import decode_segmentation

MAX_REPORTED = 100
"""Maximum number of sentences about what was not imported."""


class ImportResult(NamedTuple):
    """The result of an import.

    Attributes:
        num_images: Number of images that got objects.
        num_objects: Number of objects that were added.
        skipped: What was not imported, one sentence each.
        num_smoothed: Number of skipped label maps that `binarize` would read.
    """

    num_images: int
    num_objects: int
    skipped: list[str]
    num_smoothed: int


def load_label_map(
    session: AnnotationSession, label_map: UInt16[np.ndarray, "h w"]
) -> list[AnnotatedObject]:
    """Add an object for every value of a label map but 0 and 65535 (ignored).

    Args:
        session: Session that gets the objects.
        label_map: [h w] labels, of the size of the image.

    Raises:
        RequestRejected: There is no object, or there are too many.
    """
    masks = _split_label_map(label_map)
    if not masks:
        raise RequestRejected("the label map is 0 everywhere, expected objects")
    return _add_masks(session, masks, finished=False)


def import_coco(
    registry: SessionRegistry, data: bytes, request_key: str | None
) -> ImportResult:
    """Add the objects of a COCO file to the images of the folder, as finished objects.

    Args:
        registry: Sessions of the server.
        data: JSON of the file.
        request_key: Key of the client's request; None = it has none.

    Raises:
        RequestRejected: The file is not a COCO file (400).
    """
    try:
        coco_tree = json.loads(data)
        names = {item["id"]: str(item["name"]) for item in coco_tree["categories"]}
        annotations: dict[Any, list[Any]] = {}
        for annotation in coco_tree["annotations"]:
            annotations.setdefault(annotation["image_id"], []).append(annotation)
        images = [(item["id"], str(item["file_name"])) for item in coco_tree["images"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RequestRejected(
            f"the body is not a COCO file ({error!r}); expected JSON with images, "
            "annotations and categories"
        ) from None

    def read_masks(
        session: AnnotationSession, image_annotations: Any
    ) -> list[LabeledMask]:
        return [
            LabeledMask(
                0,
                names[annotation["category_id"]],
                None,
                decode_segmentation(
                    annotation["segmentation"], session.height, session.width
                ),
            )
            for annotation in image_annotations
        ]

    items = [(name, annotations.get(image_id, [])) for image_id, name in images]
    return _import_images(registry, items, read_masks, request_key)


def import_label_maps(
    registry: SessionRegistry,
    data: bytes,
    image_names: Sequence[str],
    limits: Limits,
    request_key: str | None,
    *,
    binarize: bool = False,
) -> ImportResult:
    """Add the objects of a zip file of label maps, as finished objects.

    Args:
        registry: Sessions of the server.
        data: Bytes of the zip file; its members have the names of the images, with the
            suffix .png in addition to or instead of that of the image, and with _0, _1,
            ... before it if there are several layers.
        image_names: Names of the images of the folder.
        limits: Maximum size of a member.
        request_key: Key of the client's request; None = it has none.
        binarize: True reads maps with soft edges as one object above half of white.

    Raises:
        RequestRejected: The file is not a zip file (400).
    """
    try:
        zip_archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, OSError, ValueError):
        raise RequestRejected(
            "the body is not a zip file; expected a zip file of label maps"
        ) from None
    name_of_stem = {
        without_suffix(name): name for name in reversed(sorted(image_names))
    } | {name: name for name in image_names}

    def read_masks(session: AnnotationSession, members: Any) -> list[LabeledMask]:
        masks: list[LabeledMask] = []
        for _, member in members:
            if member.file_size > limits.max_body_bytes:
                raise ValueError("it is too large")
            with zip_archive.open(member) as file:
                member_data = file.read(limits.max_body_bytes)
            label_map = open_label_map(
                member_data, session.height, session.width, limits, binarize=binarize
            )
            masks += _split_label_map(label_map)
        return masks

    # All layers of an image are one change of its session.
    layers: dict[str, list[tuple[int, zipfile.ZipInfo]]] = {}
    for member in zip_archive.infolist():
        if not member.is_dir():
            matched = match_mask_name(without_suffix(member.filename), name_of_stem)
            stem, layer = matched or (member.filename, -1)
            name = name_of_stem.get(stem, stem)
            layers.setdefault(name, []).append((layer, member))
    items = [
        (name, sorted(members, key=lambda layer_member: layer_member[0]))
        for name, members in layers.items()
    ]
    return _import_images(registry, items, read_masks, request_key)


def _import_images(
    registry: SessionRegistry,
    items: Sequence[tuple[str, Any]],
    read_masks: Any,
    request_key: str | None,
) -> ImportResult:
    """Add objects to each image; an image that fails is reported and left out."""
    num_images, num_objects, num_smoothed, skipped = 0, 0, 0, list[str]()
    for name, source in items:
        try:
            session = registry.open_folder_image(name)
            masks = [item for item in read_masks(session, source) if item.mask.any()]
            if not masks:
                continue
            import_key = None if request_key is None else f"import-{request_key}"
            added = session.run_once(
                import_key,
                lambda session=session, masks=masks: _add_masks(
                    session, masks, finished=True
                ),
            )
            num_images, num_objects = num_images + 1, num_objects + len(added)
        except RequestRejected as error:
            if error.status_code == 507:  # the client repeats the whole request
                raise
            num_smoothed += error.retry_with is not None
            skipped.append(f"{name}: {error.detail}")
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile, OSError) as error:
            skipped.append(f"{name}: {error}")
    if len(skipped) > MAX_REPORTED:
        num_more = len(skipped) - MAX_REPORTED
        skipped = [*skipped[:MAX_REPORTED], f"and {num_more} more"]
    return ImportResult(num_images, num_objects, skipped, num_smoothed)


def _split_label_map(label_map: UInt16[np.ndarray, "h w"]) -> list[LabeledMask]:
    labels = np.unique(label_map)
    return [
        LabeledMask(int(label), None, None, label_map == label)
        for label in labels[(labels > 0) & (labels < IGNORE_LABEL)]
    ]


def _add_masks(
    session: AnnotationSession, masks: Sequence[LabeledMask], *, finished: bool
) -> list[AnnotatedObject]:
    """Add an object for each mask, as one change: all are added or none."""
    session.store.check_num_objects(len(masks))
    label_ids = [
        None
        if item.name in (None, UNLABELED_NAME)
        else session.labels.keep(str(item.name))
        for item in masks
    ]

    def iter_objects() -> Iterator[AnnotatedObject]:
        for item, label_id in zip(masks, label_ids, strict=True):
            new_object = session.store.new_object(label_id, item.color)
            snapshot = session.renderer.stage_mask(item.mask)
            yield session.store.extend_history(new_object, snapshot, finished=finished)

    with session.action():
        return session.store.store_objects(list(iter_objects()))
