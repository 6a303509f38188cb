import numpy as np
import pytest

from mst_jax.data.builders.pascal_voc import PascalVoc
from tests.helpers.image_files import write_image, write_palette_png
from tests.helpers.prepare_dataset import prepare_dataset

PALETTE_INDICES = np.array(
    [[0, 255, 1, 255], [2, 255, 1, 255], [2, 255, 255, 255]], np.uint8
)
LABEL_MAP = np.where(PALETTE_INDICES == 255, 65535, PALETTE_INDICES.astype(np.uint16))


def write_voc(source):
    list_folder = source / "ImageSets" / "Segmentation"
    list_folder.mkdir(parents=True)
    for split, image_name in (("train", "2007_000032"), ("val", "2007_000033")):
        (list_folder / f"{split}.txt").write_text(f"{image_name}\n")
        write_image(source / "JPEGImages" / f"{image_name}.jpg")
        write_palette_png(
            source / "SegmentationObject" / f"{image_name}.png", PALETTE_INDICES
        )
    write_image(source / "JPEGImages" / "2009_000001.jpg")  # for detection only
    return source


def test_objects_are_palette_indices_and_the_void_border_is_ignored(tmp_path):
    write_voc(tmp_path / "s" / "VOCdevkit" / "VOC2012")
    splits, errors = prepare_dataset(PascalVoc, tmp_path / "s", tmp_path / "data")
    assert sorted(splits) == ["train", "val"]
    assert list(splits["val"]) == ["2007_000033"]
    np.testing.assert_array_equal(splits["val"]["2007_000033"].layers, [LABEL_MAP])
    assert not errors.messages


def test_the_void_border_of_gray_copies_is_ignored(tmp_path):
    source = write_voc(tmp_path / "s")
    gray_indices = np.where(PALETTE_INDICES == 255, np.uint8(220), PALETTE_INDICES)
    write_image(source / "SegmentationObject" / "2007_000033.png", gray_indices)
    splits, _ = prepare_dataset(PascalVoc, source, tmp_path / "data")
    np.testing.assert_array_equal(splits["val"]["2007_000033"].layers, [LABEL_MAP])


def test_a_missing_listed_image_is_reported(tmp_path):
    source = write_voc(tmp_path / "s")
    (source / "JPEGImages" / "2007_000033.jpg").unlink()
    with pytest.raises(ValueError, match=r"JPEGImages/2007_000033.jpg: is missing"):
        prepare_dataset(PascalVoc, source, tmp_path / "data")
