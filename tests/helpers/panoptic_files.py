"""COCO's panoptic annotations, as published: a json and a folder of PNGs."""

import json
from pathlib import Path

import numpy as np

from tests.helpers.image_files import write_image


def write_panoptic(path: Path, number: int, segments: dict[int, tuple]) -> None:
    """`segments`: number -> (mask, is it a thing, is it a crowd)."""
    shape = next(iter(segments.values()))[0].shape
    of_pixel = np.zeros(shape, np.int64)
    infos = []
    for key, (mask, thing, crowd) in segments.items():
        of_pixel[mask] = key
        infos.append({"id": key, "category_id": int(thing), "iscrowd": int(crowd)})
    colours = np.stack([of_pixel >> shift & 255 for shift in (0, 8, 16)], axis=-1)
    name = f"{number:012d}.png"
    write_image(path.with_suffix("") / name, colours.astype(np.uint8))
    annotation = {"image_id": number, "file_name": name, "segments_info": infos}
    kinds = [{"id": 1, "isthing": 1}, {"id": 0, "isthing": 0}]
    tree = {"images": [], "categories": kinds, "annotations": [annotation]}
    path.write_text(json.dumps(tree))
