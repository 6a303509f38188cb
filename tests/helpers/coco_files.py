"""Write small COCO and LVIS files for tests: images of 20x30 pixels."""

import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from tests.helpers.image_files import write_image

WHOLE = np.zeros((20, 30), bool)
WHOLE[2:14, 3:23] = True
PART = np.zeros((20, 30), bool)
PART[4:13, 5:15] = True


def box_polygon(mask):
    """Return the polygon of a rectangular mask."""
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns.max() + 1
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return [[float(value) for corner in corners for value in corner]]


def encode_run_lengths(mask):
    """Return a mask as packed run lengths."""
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": packed["counts"].decode()}


def write_coco(path: Path, files: dict[str, list], *, url: str | None = None) -> None:
    """Write a COCO file.

    Args:
        path: Path of the json file.
        files: File name of each image -> segmentations of its objects.
        url: Folder of the images on the web, as LVIS names them; None: by file name.
    """
    images, annotations = [], []
    for image_id, (file_name, segmentations) in enumerate(files.items()):
        image = {"id": image_id, "height": 20, "width": 30}
        if url is None:
            image["file_name"] = file_name
        else:
            image["coco_url"] = url + file_name
        images.append(image)
        annotations += [
            {"id": 100 * image_id + k, "image_id": image_id, "segmentation": drawn}
            for k, drawn in enumerate(segmentations)
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations}))


def write_blank_image(path: Path) -> None:
    """Write a gray image of 20x30 pixels."""
    write_image(path, np.full((20, 30, 3), 50, np.uint8))
