import json

import numpy as np
import pytest

from mst_jax.data.formats.coco_panoptic import Segments, open_segments, read_panoptic
from tests.helpers.panoptic_files import write_panoptic

LEFT = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], bool)
RIGHT = np.array([[0, 0, 1, 0], [0, 0, 1, 0]], bool)
CROWD = ~LEFT & ~RIGHT
SEGMENTS = {
    7: (LEFT, True, False),
    3 + 256 * 5 + 65536 * 200: (RIGHT, False, False),
    9: (CROWD, True, True),
}


@pytest.fixture
def path(tmp_path):
    write_panoptic(tmp_path / "panoptic_val2017.json", 139, SEGMENTS)
    return tmp_path / "panoptic_val2017.json"


def test_things_and_stuff_are_told_apart_and_crowds_left_out(path):
    stuff = 3 + 256 * 5 + 65536 * 200
    assert read_panoptic(path) == {139: Segments("000000000139.png", [7], [stuff])}


def test_segments_are_found_by_their_colour(path):
    png = path.with_suffix("") / "000000000139.png"
    masks = open_segments(png, [3 + 256 * 5 + 65536 * 200, 7, 8], size=(2, 4))
    np.testing.assert_array_equal(masks, [RIGHT, LEFT])
    with pytest.raises(ValueError, match=r"is 2x4, its picture \(4, 2\)"):
        open_segments(png, [7], size=(4, 2))


@pytest.mark.parametrize(
    "change",
    [
        {"categories": []},
        {"annotations": [{"image_id": 1}]},
        {"annotations": [{"image_id": 1, "file_name": "../a", "segments_info": []}]},
        {"annotations": None},
    ],
)
def test_other_files_are_refused_by_name(change, path):
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=r"panoptic_val2017.json is no panoptic"):
        read_panoptic(path)


def test_what_is_no_json_is_refused_by_name(path):
    path.write_text("{")
    with pytest.raises(ValueError, match=r"panoptic_val2017.json is no panoptic"):
        read_panoptic(path)
