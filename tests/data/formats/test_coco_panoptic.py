import json

import numpy as np
import pytest

from mst_jax.data.formats.coco_panoptic import (
    PanopticSegments,
    decode_segments,
    read_panoptic_file,
)
from tests.helpers.panoptic_files import write_panoptic

LEFT_MASK = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], bool)
RIGHT_MASK = np.array([[0, 0, 1, 0], [0, 0, 1, 0]], bool)
CROWD_MASK = ~LEFT_MASK & ~RIGHT_MASK
STUFF_ID = 3 + 256 * 5 + 65536 * 200
SEGMENTS = {
    7: (LEFT_MASK, True, False),
    STUFF_ID: (RIGHT_MASK, False, False),
    9: (CROWD_MASK, True, True),
}


@pytest.fixture
def path(tmp_path):
    write_panoptic(tmp_path / "panoptic_val2017.json", 139, SEGMENTS)
    return tmp_path / "panoptic_val2017.json"


def test_things_and_stuff_are_separated_and_crowds_left_out(path):
    assert read_panoptic_file(path) == {
        139: PanopticSegments("000000000139.png", [7], [STUFF_ID])
    }


def test_segments_are_decoded_by_their_color(path):
    png = path.with_suffix("") / "000000000139.png"
    masks = decode_segments(png, [STUFF_ID, 7, 8], size=(2, 4))
    np.testing.assert_array_equal(masks, [RIGHT_MASK, LEFT_MASK])
    with pytest.raises(ValueError, match=r"is 2x4, its image \(4, 2\)"):
        decode_segments(png, [7], size=(4, 2))


@pytest.mark.parametrize(
    "replaced",
    [
        {"categories": []},
        {"annotations": [{"image_id": 1}]},
        {"annotations": [{"image_id": 1, "file_name": "../a", "segments_info": []}]},
        {"annotations": None},
    ],
)
def test_other_files_are_rejected_by_name(replaced, path):
    path.write_text(json.dumps(json.loads(path.read_text()) | replaced))
    with pytest.raises(ValueError, match=r"panoptic_val2017.json is not a panoptic"):
        read_panoptic_file(path)


def test_file_that_is_no_json_is_rejected_by_name(path):
    path.write_text("{")
    with pytest.raises(ValueError, match=r"panoptic_val2017.json is not a panoptic"):
        read_panoptic_file(path)
