import pickle

import numpy as np
import pytest

from mst_jax.data.builders.coco_lvis import CocoLvis
from tests.helpers.coco_files import (
    PART,
    WHOLE,
    box_polygon,
    write_blank_image,
    write_coco,
)
from tests.helpers.panoptic_files import write_panoptic
from tests.helpers.prepare_dataset import prepare_dataset
from tests.helpers.ritm_files import PARTS, STUFF, WHOLES, write_ritm_folder


def test_the_packed_form_has_parts_and_stuff(tmp_path):
    for split in ("train", "val"):
        write_ritm_folder(tmp_path / "s" / split)
    splits, errors = prepare_dataset(CocoLvis, tmp_path / "s", tmp_path / "data")
    assert sorted(splits) == ["train", "val"]
    example = splits["train"]["000000000009"]
    np.testing.assert_array_equal(example.layers, [WHOLES, PARTS])
    np.testing.assert_array_equal(example.parts, [(1, 1, 0, 1)])
    np.testing.assert_array_equal(example.stuff, [STUFF])
    assert splits["train"]["000000000025"].parts.shape == (0, 4)
    assert not errors.messages


class HarmfulPickle:
    def __reduce__(self):
        return print, ("harmed",)


@pytest.mark.parametrize(
    "pickle_file", ["hannotation.pickle", "masks/000000000009.pickle"]
)
def test_a_harmful_pickle_is_not_executed(pickle_file, tmp_path, capfd):
    folder = write_ritm_folder(tmp_path / "s" / "train")
    (folder / pickle_file).write_bytes(pickle.dumps(HarmfulPickle()))
    with pytest.raises(ValueError, match=rf"{pickle_file}.*builtins.print, which no"):
        prepare_dataset(CocoLvis, tmp_path / "s", tmp_path / "data")
    assert "harmed" not in capfd.readouterr().out


def test_lvis_gives_parts_and_drops_tiny_and_repeated_objects(tmp_path):
    tiny_mask = np.zeros((20, 30), bool)
    tiny_mask[0, :5] = True
    image_url = "http://images.cocodataset.org/train2017/"
    polygons = [box_polygon(mask) for mask in (WHOLE, PART, tiny_mask, WHOLE)]
    write_coco(
        tmp_path / "s" / "lvis_v1_train.json", {"1.jpg": polygons}, url=image_url
    )
    write_blank_image(tmp_path / "s" / "train2017" / "1.jpg")
    splits, errors = prepare_dataset(CocoLvis, tmp_path / "s", tmp_path / "data")
    (example,) = splits["train"].values()
    assert example.id == "1"
    np.testing.assert_array_equal(example.layers, [WHOLE, PART])
    np.testing.assert_array_equal(example.parts, [(1, 1, 0, 1)])
    assert errors.skip_counts == {
        "objects of under 80 pixels": 1,
        "objects listed twice": 1,
    }


def test_panoptic_annotations_add_objects_that_lvis_lacks(tmp_path):
    source = tmp_path / "s"
    image_url = "http://images.cocodataset.org/val2017/"
    write_coco(
        source / "lvis_v1_val.json",
        {"000000000139.jpg": [box_polygon(PART)]},
        url=image_url,
    )
    write_blank_image(source / "val2017" / "000000000139.jpg")
    new_thing = np.zeros_like(WHOLE)
    new_thing[:, 25:] = True
    known_thing = PART.copy()
    known_thing[4] = False  # 8 of 9 rows of what LVIS has
    grass_mask = ~new_thing & ~known_thing
    grass_mask[:, :3] = False
    json_path = source / "annotations" / "panoptic_val2017.json"
    segments = {
        5: (new_thing, True, False),
        6: (known_thing, True, False),
        7: (grass_mask, False, False),
    }
    write_panoptic(json_path, 139, segments)
    splits, errors = prepare_dataset(CocoLvis, source, tmp_path / "data")
    assert not errors.messages
    (example,) = splits["val"].values()
    np.testing.assert_array_equal(example.layers, [np.where(PART, 2, new_thing)])
    assert example.parts.shape == (0, 4)
    assert example.stuff.shape == (0, 0, 0)  # 341 pixels are too few


def test_stuff_has_at_least_501_pixels_outside_of_objects(tmp_path):
    source = tmp_path / "s"
    image_url = "http://images.cocodataset.org/val2017/"
    write_coco(
        source / "lvis_v1_val.json",
        {"000000000139.jpg": [box_polygon(PART)]},
        url=image_url,
    )
    write_blank_image(source / "val2017" / "000000000139.jpg")
    json_path = source / "annotations" / "panoptic_val2017.json"
    full_mask = np.ones_like(PART)
    write_panoptic(json_path, 139, {7: (full_mask, False, False)})
    splits, _ = prepare_dataset(CocoLvis, source, tmp_path / "data")
    (example,) = splits["val"].values()
    np.testing.assert_array_equal(example.stuff, [~PART])
    png_path = json_path.with_suffix("") / "000000000139.png"
    png_path.write_bytes(png_path.read_bytes()[:-9])
    with pytest.raises(
        ValueError, match=r"panoptic_val2017/000000000139.png: PNG is tr"
    ):
        prepare_dataset(CocoLvis, source, tmp_path / "other")
