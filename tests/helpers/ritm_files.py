"""Write the packed form of COCO+LVIS as its authors' programs write it."""

import pickle
from pathlib import Path

import cv2
import numpy as np

from tests.helpers.image_files import write_image

WHOLES = np.array([[1, 1, 1, 0], [1, 1, 1, 2], [0, 0, 0, 2]], np.uint16)
PARTS = np.array([[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], np.uint16)
STUFF = np.array([[0, 0, 0, 3], [0, 0, 0, 0], [3, 3, 3, 0]], np.uint16)
# Object 0 with its part 1, object 2, stuff 3.
MAPPING = [(0, 1), (1, 1), (0, 2), (0, 3)]
HIERARCHY = {
    0: {"children": [1], "parent": None, "node_level": 0},
    1: {"children": [], "parent": 0, "node_level": 1},
    2: None,
}


def write_ritm_folder(folder: Path) -> Path:
    """Write two images of 3x4 pixels; only the first has a hierarchy."""
    encoded_layers = [
        cv2.imencode(".png", labels.astype(np.uint8))[1]
        for labels in (WHOLES + STUFF, PARTS)
    ]
    hierarchies = {
        "000000000025": dict.fromkeys(range(3)),
        "000000000009": HIERARCHY,
    }
    (folder / "masks").mkdir(parents=True)
    for image_id in hierarchies:
        write_image(folder / "images" / f"{image_id}.jpg")
        pickled_masks = pickle.dumps((encoded_layers, MAPPING))
        (folder / "masks" / f"{image_id}.pickle").write_bytes(pickled_masks)
    annotations = {
        image_id: {"num_instance_masks": 3, "hierarchy": hierarchy}
        for image_id, hierarchy in hierarchies.items()
    }
    pickled = pickle.dumps(annotations, protocol=pickle.HIGHEST_PROTOCOL)
    (folder / "hannotation.pickle").write_bytes(pickled)
    return folder
