import numpy as np
import pytest

from mst_jax.data.builders.coco_json import CocoJson
from mst_jax.data.builders.discovery import Item
from tests.helpers.coco_files import PART, WHOLE, polygon, write_blank, write_coco


@pytest.fixture
def listed(tmp_path):
    write_coco(
        tmp_path / "a.json", {"x.jpg": [polygon(WHOLE), polygon(PART)], "y.jpg": []}
    )
    for place in ("one/x.jpg", "two/x.jpg", "two/y.jpg"):
        write_blank(tmp_path / place)
    return CocoJson(data_dir=str(tmp_path / "data"), source=str(tmp_path))


def test_a_picture_is_taken_from_the_first_folder_that_has_it(listed):
    coco = listed.root / "a.json"
    folders = [listed.root / name for name in ("none", "one", "two")]
    assert listed.list_pictures(coco, folders) == [
        Item("x", listed.root / "one" / "x.jpg", (coco,)),
        Item("y", listed.root / "two" / "y.jpg", (coco,)),
    ]


def test_a_record_has_layers_and_parts_and_none_comes_without_objects(listed):
    first, second = listed.list_pictures(listed.root / "a.json", [listed.root / "two"])
    (row,) = listed.read(first)
    assert len(row["layers"]) == 2
    np.testing.assert_array_equal(row["parts"], [(1, 1, 0, 1)])
    assert list(listed.read(second)) == []
    assert listed.faults.remarks == {"pictures without an object": 1}


def test_a_picture_listed_twice_is_a_fault(listed):
    write_coco(listed.root / "a.json", {"x.jpg": [], "x.png": []})
    write_blank(listed.root / "two" / "x.png")
    assert len(listed.list_pictures(listed.root / "a.json", [listed.root / "two"])) == 1
    assert listed.faults.lines == ["a.json, picture x.png: is listed twice"]
