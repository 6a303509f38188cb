"""The packed form of COCO+LVIS, written as its authors' programs write it."""

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


def write_packed(folder: Path) -> Path:
    """Two pictures of 3x4 pixels; only the first has a hierarchy."""
    layers = [
        cv2.imencode(".png", labels.astype(np.uint8))[1]
        for labels in (WHOLES + STUFF, PARTS)
    ]
    notes = {
        "000000000025": dict.fromkeys(range(3)),
        "000000000009": HIERARCHY,
    }
    (folder / "masks").mkdir(parents=True)
    for name in notes:
        write_image(folder / "images" / f"{name}.jpg")
        data = pickle.dumps((layers, MAPPING))
        (folder / "masks" / f"{name}.pickle").write_bytes(data)
    tree = {
        name: {"num_instance_masks": 3, "hierarchy": hierarchy}
        for name, hierarchy in notes.items()
    }
    data = pickle.dumps(tree, protocol=pickle.HIGHEST_PROTOCOL)
    (folder / "hannotation.pickle").write_bytes(data)
    return folder
