import numpy as np
import pytest

from mst_jax.data.builders.coco_json import CocoJson
from mst_jax.data.builders.discovery import SourceItem
from tests.helpers.coco_files import (
    PART,
    WHOLE,
    box_polygon,
    write_blank_image,
    write_coco,
)


@pytest.fixture
def builder(tmp_path):
    write_coco(
        tmp_path / "a.json",
        {"x.jpg": [box_polygon(WHOLE), box_polygon(PART)], "y.jpg": []},
    )
    for image_path in ("one/x.jpg", "two/x.jpg", "two/y.jpg"):
        write_blank_image(tmp_path / image_path)
    return CocoJson(data_dir=str(tmp_path / "data"), source=str(tmp_path))


def test_an_image_is_taken_from_the_first_folder_that_has_it(builder):
    coco_path = builder.source_dir / "a.json"
    image_folders = [builder.source_dir / name for name in ("none", "one", "two")]
    assert builder.list_images(coco_path, image_folders) == [
        SourceItem("x", builder.source_dir / "one" / "x.jpg", (coco_path,)),
        SourceItem("y", builder.source_dir / "two" / "y.jpg", (coco_path,)),
    ]


def test_a_record_has_layers_and_parts_and_needs_an_object(builder):
    first_item, second_item = builder.list_images(
        builder.source_dir / "a.json", [builder.source_dir / "two"]
    )
    (record,) = builder.read_records(first_item)
    assert len(record["layers"]) == 2
    np.testing.assert_array_equal(record["parts"], [(1, 1, 0, 1)])
    assert list(builder.read_records(second_item)) == []
    assert builder.errors.skip_counts == {"images without an object": 1}


def test_an_image_listed_twice_is_an_error(builder):
    write_coco(builder.source_dir / "a.json", {"x.jpg": [], "x.png": []})
    write_blank_image(builder.source_dir / "two" / "x.png")
    assert (
        len(
            builder.list_images(
                builder.source_dir / "a.json", [builder.source_dir / "two"]
            )
        )
        == 1
    )
    assert builder.errors.messages == ["a.json, image x.png: is listed twice"]
