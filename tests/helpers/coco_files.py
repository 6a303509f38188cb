"""Small COCO and LVIS files that tests read: pictures of 20x30 pixels."""

import json
from pathlib import Path

import numpy as np
from pycocotools import mask as rle

from tests.helpers.image_files import write_image

WHOLE = np.zeros((20, 30), bool)
WHOLE[2:14, 3:23] = True
PART = np.zeros((20, 30), bool)
PART[4:13, 5:15] = True


def polygon(mask):
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns.max() + 1
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return [[float(number) for corner in corners for number in corner]]


def run_lengths(mask):
    packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": packed["counts"].decode()}


def write_coco(path: Path, files: dict[str, list], **where) -> None:
    """A COCO file; `files`: picture -> segmentations. `where`: url of LVIS's pictures."""
    images, annotations = [], []
    for number, (name, segmentations) in enumerate(files.items()):
        image = {"id": number, "height": 20, "width": 30}
        known = {"coco_url": where["url"] + name} if where else {"file_name": name}
        images.append(image | known)
        annotations += [
            {"id": 100 * number + k, "image_id": number, "segmentation": drawn}
            for k, drawn in enumerate(segmentations)
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations}))


def write_blank(path: Path) -> None:
    write_image(path, np.full((20, 30, 3), 50, np.uint8))
