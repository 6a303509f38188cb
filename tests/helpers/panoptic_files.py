"""Write COCO's panoptic annotations as published: a json and a folder of PNGs."""

import json
from pathlib import Path

import numpy as np

from tests.helpers.image_files import write_image


def write_panoptic(path: Path, image_id: int, segments: dict[int, tuple]) -> None:
    """Write the annotation of one image.

    Args:
        path: Path of the json file; the PNG goes to the folder of the same name.
        image_id: Id of the image.
        segments: Id of each segment -> (mask, is it a thing, is it a crowd).
    """
    shape = next(iter(segments.values()))[0].shape
    id_map = np.zeros(shape, np.int64)
    segments_info = []
    for segment_id, (mask, is_thing, is_crowd) in segments.items():
        id_map[mask] = segment_id
        segments_info.append(
            {
                "id": segment_id,
                "category_id": int(is_thing),
                "iscrowd": int(is_crowd),
            }
        )
    colors = np.stack([id_map >> shift & 255 for shift in (0, 8, 16)], axis=-1)
    file_name = f"{image_id:012d}.png"
    write_image(path.with_suffix("") / file_name, colors.astype(np.uint8))
    annotation = {
        "image_id": image_id,
        "file_name": file_name,
        "segments_info": segments_info,
    }
    categories = [{"id": 1, "isthing": 1}, {"id": 0, "isthing": 0}]
    content = {"images": [], "categories": categories, "annotations": [annotation]}
    path.write_text(json.dumps(content))
