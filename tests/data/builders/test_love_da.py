import itertools

import numpy as np
import pytest

from mst_jax.data.builders import love_da
from mst_jax.data.builders.love_da import LoveDa, part_classes
from tests.helpers.image_files import write_image
from tests.helpers.prepare_dataset import prepare
from tests.helpers.ritm_files import WHOLES, write_packed

CLASSES = np.ones((300, 400), np.uint8)
CLASSES[:5, :5] = 0
CLASSES[10:40, 10:50] = 2  # 1,200 pixels: small
CLASSES[50:90, 50:175] = 4  # 5,000: medium
CLASSES[100:110, 5:105] = 2  # 1,000: too small to count
CLASSES[120:300, 100:210] = 7  # 19,800: large
CLASSES[5:295, 210:399] = 6  # 54,810: large; touches farmland
AREAS = {"small": [1200], "medium": [5000], "large": [19800, 54810], "huge": []}


def write_love_da(root):
    for number, domain in enumerate(("Rural", "Urban")):
        place = root / "Val" / domain
        image = np.full((*CLASSES.shape, 3), 70, np.uint8)
        write_image(place / "images_png" / f"{number}.png", image)
        write_image(place / "masks_png" / f"{number}.png", CLASSES)
    return root


def areas(example):
    counts = np.bincount(example.layers.ravel(), minlength=65536)
    assert counts[65535] == 25  # no data
    return sorted(counts[1:65535][counts[1:65535] > 0].tolist())


def test_regions_of_each_class_above_1000_pixels_are_objects(tmp_path):
    root = write_love_da(tmp_path / "LoveDA")
    splits, faults = prepare(LoveDa, root, tmp_path / "data")
    assert sorted(splits["val"]) == ["Rural-0", "Urban-1"]
    for example in splits["val"].values():
        assert areas(example) == [1200, 5000, 19800, 54810]
    assert faults.remarks == {"regions of at most 1,000 pixels": 2}


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_variants_keep_one_size_class(size, tmp_path):
    root = write_love_da(tmp_path / "LoveDA")
    splits, _ = prepare(LoveDa, root, tmp_path / "data", variant=size)
    assert areas(splits["val"]["Rural-0"]) == AREAS[size]


def test_a_class_without_objects_leaves_nothing(tmp_path):
    root = write_love_da(tmp_path / "LoveDA")
    with pytest.raises(ValueError, match=r"no picture is left.*"):
        prepare(LoveDa, root, tmp_path / "data", variant="huge")


def test_size_classes_share_no_object_and_leave_none_out():
    bounds = list(love_da._SIZES.values())
    assert bounds[0][0] == 0 and bounds[-1][1] > 1024 * 1024
    assert all(one[1] == next_[0] for one, next_ in itertools.pairwise(bounds))


def test_train_is_a_split_of_its_own(tmp_path):
    root = write_love_da(tmp_path / "LoveDA")
    (root / "Val" / "Urban").rename(root / "Urban")
    (root / "Train").mkdir()
    (root / "Urban").rename(root / "Train" / "Urban")
    splits, _ = prepare(LoveDa, root, tmp_path / "data")
    assert {s: list(found) for s, found in splits.items()} == {
        "train": ["Urban-1"],
        "val": ["Rural-0"],
    }


def test_regions_of_one_class_join_at_corners_and_those_of_two_never():
    classes = np.array([[2, 1, 1, 0], [1, 2, 3, 3], [1, 1, 1, 7]], np.uint16)
    np.testing.assert_array_equal(
        part_classes(classes), [[1, 0, 0, 65535], [0, 1, 2, 2], [0, 0, 0, 3]]
    )


def test_strange_classes_are_named(tmp_path):
    root = write_love_da(tmp_path / "LoveDA")
    write_image(root / "Val" / "Rural" / "masks_png" / "0.png", CLASSES * 30)
    with pytest.raises(ValueError, match=r"masks_png/0.png: has classes \[30, 60"):
        prepare(LoveDa, root, tmp_path / "data")


def test_the_packed_form_and_its_size_classes(tmp_path):
    folder = write_packed(tmp_path / "IS_LoveDA" / "val")
    classes = {"small": {0: [2], 1: []}, "medium": {0: [], 1: [0, 2]}}
    np.save(folder / "lovedams.npy", classes, allow_pickle=True)
    splits, _ = prepare(LoveDa, tmp_path, tmp_path / "all")
    assert len(splits["val"]) == 2
    splits, _ = prepare(LoveDa, tmp_path, tmp_path / "a", variant="small")
    np.testing.assert_array_equal(
        splits["val"]["000000000009"].layers, [np.where(WHOLES == 2, 2, 0)]
    )
    splits, _ = prepare(LoveDa, tmp_path, tmp_path / "b", variant="medium")
    np.testing.assert_array_equal(splits["val"]["000000000025"].layers, [WHOLES])
    with pytest.raises(ValueError, match=r"lovedams.npy .*huge"):
        prepare(LoveDa, tmp_path, tmp_path / "c", variant="huge")
