import itertools

import numpy as np
import pytest

from mst_jax.data.builders import love_da
from mst_jax.data.builders.love_da import LoveDa, label_regions
from tests.helpers.image_files import write_image
from tests.helpers.prepare_dataset import prepare_dataset
from tests.helpers.ritm_files import WHOLES, write_ritm_folder

CLASS_MAP = np.ones((300, 400), np.uint8)
CLASS_MAP[:5, :5] = 0
CLASS_MAP[10:40, 10:50] = 2  # 1,200 pixels: small
CLASS_MAP[50:90, 50:175] = 4  # 5,000: medium
CLASS_MAP[100:110, 5:105] = 2  # 1,000: too small to count
CLASS_MAP[120:300, 100:210] = 7  # 19,800: large
CLASS_MAP[5:295, 210:399] = 6  # 54,810: large; touches farmland
EXPECTED_AREAS = {
    "small": [1200],
    "medium": [5000],
    "large": [19800, 54810],
    "huge": [],
}


def write_love_da(source):
    for index, domain in enumerate(("Rural", "Urban")):
        domain_folder = source / "Val" / domain
        image = np.full((*CLASS_MAP.shape, 3), 70, np.uint8)
        write_image(domain_folder / "images_png" / f"{index}.png", image)
        write_image(domain_folder / "masks_png" / f"{index}.png", CLASS_MAP)
    return source


def object_areas(example):
    pixel_counts = np.bincount(example.layers.ravel(), minlength=65536)
    assert pixel_counts[65535] == 25  # no data
    return sorted(pixel_counts[1:65535][pixel_counts[1:65535] > 0].tolist())


def test_regions_above_1000_pixels_are_objects(tmp_path):
    source = write_love_da(tmp_path / "LoveDA")
    splits, errors = prepare_dataset(LoveDa, source, tmp_path / "data")
    assert sorted(splits["val"]) == ["Rural-0", "Urban-1"]
    for example in splits["val"].values():
        assert object_areas(example) == [1200, 5000, 19800, 54810]
    assert errors.skip_counts == {"regions of at most 1,000 pixels": 2}


@pytest.mark.parametrize("size_class", ["small", "medium", "large"])
def test_variants_keep_one_size_class(size_class, tmp_path):
    source = write_love_da(tmp_path / "LoveDA")
    splits, _ = prepare_dataset(LoveDa, source, tmp_path / "data", variant=size_class)
    assert object_areas(splits["val"]["Rural-0"]) == EXPECTED_AREAS[size_class]


def test_a_size_class_without_objects_raises(tmp_path):
    source = write_love_da(tmp_path / "LoveDA")
    with pytest.raises(ValueError, match=r"no image is left.*"):
        prepare_dataset(LoveDa, source, tmp_path / "data", variant="huge")


def test_size_classes_partition_all_areas():
    area_bounds = list(love_da._SIZE_CLASSES.values())
    assert area_bounds[0][0] == 0 and area_bounds[-1][1] > 1024 * 1024
    assert all(
        first[1] == second[0] for first, second in itertools.pairwise(area_bounds)
    )


def test_folders_train_and_val_are_splits(tmp_path):
    source = write_love_da(tmp_path / "LoveDA")
    (source / "Val" / "Urban").rename(source / "Urban")
    (source / "Train").mkdir()
    (source / "Urban").rename(source / "Train" / "Urban")
    splits, _ = prepare_dataset(LoveDa, source, tmp_path / "data")
    assert {split: list(examples) for split, examples in splits.items()} == {
        "train": ["Urban-1"],
        "val": ["Rural-0"],
    }


def test_regions_join_at_corners_within_a_class_only():
    class_map = np.array([[2, 1, 1, 0], [1, 2, 3, 3], [1, 1, 1, 7]], np.uint16)
    np.testing.assert_array_equal(
        label_regions(class_map), [[1, 0, 0, 65535], [0, 1, 2, 2], [0, 0, 0, 3]]
    )


def test_unknown_classes_are_reported(tmp_path):
    source = write_love_da(tmp_path / "LoveDA")
    write_image(source / "Val" / "Rural" / "masks_png" / "0.png", CLASS_MAP * 30)
    with pytest.raises(ValueError, match=r"masks_png/0.png: has classes \[30, 60"):
        prepare_dataset(LoveDa, source, tmp_path / "data")


def test_the_packed_form_lists_the_objects_of_a_size_class(tmp_path):
    split_folder = write_ritm_folder(tmp_path / "IS_LoveDA" / "val")
    size_classes = {"small": {0: [2], 1: []}, "medium": {0: [], 1: [0, 2]}}
    np.save(split_folder / "lovedams.npy", size_classes, allow_pickle=True)
    splits, _ = prepare_dataset(LoveDa, tmp_path, tmp_path / "all")
    assert len(splits["val"]) == 2
    splits, _ = prepare_dataset(LoveDa, tmp_path, tmp_path / "a", variant="small")
    np.testing.assert_array_equal(
        splits["val"]["000000000009"].layers, [np.where(WHOLES == 2, 2, 0)]
    )
    splits, _ = prepare_dataset(LoveDa, tmp_path, tmp_path / "b", variant="medium")
    np.testing.assert_array_equal(splits["val"]["000000000025"].layers, [WHOLES])
    with pytest.raises(ValueError, match=r"lovedams.npy .*huge"):
        prepare_dataset(LoveDa, tmp_path, tmp_path / "c", variant="huge")
