"""Read the objects of an image from the files of a save folder: COCO or label maps."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.export_formats import UNLABELED_NAME, LabeledMask
from mst_jax.data.example import IGNORE_LABEL
from mst_jax.data.formats.annotation_files import match_mask_name
from mst_jax.data.formats.coco_segmentation import decode_segmentation
from mst_jax.data.formats.images import IMAGE_SUFFIXES
from mst_jax.data.formats.label_maps import decode_label_map

_LABEL_MAP_SUFFIX, _COCO_SUFFIX = ".png", ".json"


def without_suffix(image_name: str) -> str:
    """Return the path of an image without its suffix."""
    return PurePosixPath(image_name).with_suffix("").as_posix()


def list_mask_files(root: Path, folder: str = "", *, recursive: bool) -> Iterator[Path]:
    """Yield the image and JSON files of a folder, relative to its root.

    Args:
        root: Save folder; it need not exist.
        folder: Sub-folder of it to list.
        recursive: True lists all sub-folders as well.
    """
    paths = (root / folder).glob("**/*" if recursive else "*")
    for path in paths:
        if path.suffix.lower() in (*IMAGE_SUFFIXES, _COCO_SUFFIX):
            yield path.relative_to(root)


def find_mask_files(root: Path, stem: str, image_names: Iterable[str]) -> list[Path]:
    """Return the COCO file of an image, else its label maps in the order of the layers.

    Args:
        root: Save folder.
        stem: Path of the files without suffix and layer, relative to the folder.
        image_names: Images of the same folder, which may be named as a layer.
    """
    image_names = list(image_names)
    stems = {stem, *image_names, *map(without_suffix, image_names)}
    folder = PurePosixPath(stem).parent.as_posix()
    coco_path = Path(stem + _COCO_SUFFIX)
    if (root / coco_path).exists():
        return [coco_path]
    layers: dict[tuple[int, str], Path] = {}
    for path in list_mask_files(root, folder, recursive=False):
        mask_name = without_suffix(path.as_posix())
        matched = match_mask_name(mask_name, stems)
        if matched and matched[0] == stem and path.suffix.lower() != _COCO_SUFFIX:
            # PNG first: of two formats of one mask it is the more reliable.
            key = (matched[1], mask_name)
            is_png = path.suffix.lower() == _LABEL_MAP_SUFFIX
            layers[key] = path if is_png else layers.get(key, path)
    return [layers[key] for key in sorted(layers)]


def read_mask_files(
    root: Path, paths: Iterable[Path], height: int, width: int
) -> list[LabeledMask]:
    """Return the objects in the files of an image.

    Args:
        root: Save folder.
        paths: Files relative to the folder, see `find_mask_files`.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Raises:
        RequestRejected: A file is damaged, or belongs to another image (409).
    """
    labeled_masks: list[LabeledMask] = []
    for path in paths:
        read_file = _read_coco if path.suffix == _COCO_SUFFIX else _read_label_map
        try:
            labeled_masks += read_file((root / path).read_bytes(), height, width)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise RequestRejected(
                f"the saved file {path} is damaged or belongs to another image "
                f"({error}); move it away, or repair it",
                409,
            ) from None
    return _with_unique_ids(labeled_masks)


def _read_coco(data: bytes, height: int, width: int) -> list[LabeledMask]:
    coco_tree = json.loads(data)
    category_names = {
        coco_category["id"]: coco_category["name"]
        for coco_category in coco_tree["categories"]
    }
    labeled_masks = [
        LabeledMask(
            int(coco_annotation["id"]),
            _to_label(category_names[coco_annotation["category_id"]]),
            coco_annotation.get("color"),
            decode_segmentation(coco_annotation["segmentation"], height, width),
        )
        for coco_annotation in coco_tree["annotations"]
    ]
    object_ids = {labeled_mask.object_id for labeled_mask in labeled_masks}
    is_valid = all(0 < object_id < IGNORE_LABEL for object_id in object_ids)
    if not is_valid or len(object_ids) < len(labeled_masks):
        raise ValueError("expected different annotation ids from 1 to 65534")
    return labeled_masks


def _with_unique_ids(labeled_masks: Sequence[LabeledMask]) -> list[LabeledMask]:
    """Give each object whose ID an earlier one has the next free ID.

    Raises:
        RequestRejected: There are more objects than IDs (409).
    """
    free_ids = iter(
        sorted({*range(1, IGNORE_LABEL)} - {item.object_id for item in labeled_masks})
    )
    known_ids: set[int] = set()
    unique_masks = []
    for item in labeled_masks:
        object_id = item.object_id
        if object_id in known_ids:
            object_id = next(free_ids, IGNORE_LABEL)
        if object_id == IGNORE_LABEL:
            raise RequestRejected(
                f"the saved files have {len(labeled_masks)} objects, at most "
                f"{IGNORE_LABEL - 1} are possible; move some of them away",
                409,
            )
        known_ids.add(object_id)
        unique_masks.append(item._replace(object_id=object_id))
    return unique_masks


def _to_label(category_name: str) -> str | None:
    return None if category_name == UNLABELED_NAME else str(category_name)


def _read_label_map(data: bytes, height: int, width: int) -> list[LabeledMask]:
    label_map = decode_label_map(data)
    if label_map.shape != (height, width):
        raise ValueError(
            f"it has {label_map.shape[0]} rows and {label_map.shape[1]} columns, the "
            f"image {height} and {width}"
        )
    return [
        LabeledMask(int(label), None, None, label_map == label)
        for label in np.unique(label_map)
        if 0 < label < IGNORE_LABEL
    ]
