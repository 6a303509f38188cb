import numpy as np
import pytest

from mst_jax.data.builders.pascal_voc import PascalVoc
from tests.helpers.image_files import write_image, write_palette
from tests.helpers.prepare_dataset import prepare

LABELS = np.array([[0, 255, 1, 255], [2, 255, 1, 255], [2, 255, 255, 255]], np.uint8)
OURS = np.where(LABELS == 255, 65535, LABELS.astype(np.uint16))


def write_voc(root):
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, name in (("train", "2007_000032"), ("val", "2007_000033")):
        (lists / f"{split}.txt").write_text(f"{name}\n")
        write_image(root / "JPEGImages" / f"{name}.jpg")
        write_palette(root / "SegmentationObject" / f"{name}.png", LABELS)
    write_image(root / "JPEGImages" / "2009_000001.jpg")  # for detection only
    return root


def test_objects_by_palette_and_the_void_border(tmp_path):
    write_voc(tmp_path / "s" / "VOCdevkit" / "VOC2012")
    splits, faults = prepare(PascalVoc, tmp_path / "s", tmp_path / "data")
    assert sorted(splits) == ["train", "val"]
    assert list(splits["val"]) == ["2007_000033"]
    np.testing.assert_array_equal(splits["val"]["2007_000033"].layers, [OURS])
    assert not faults.lines


def test_the_void_of_grey_copies_is_ignored_too(tmp_path):
    root = write_voc(tmp_path / "s")
    grey = np.where(LABELS == 255, np.uint8(220), LABELS)
    write_image(root / "SegmentationObject" / "2007_000033.png", grey)
    splits, _ = prepare(PascalVoc, root, tmp_path / "data")
    np.testing.assert_array_equal(splits["val"]["2007_000033"].layers, [OURS])


def test_a_listed_picture_that_is_missing_is_named(tmp_path):
    root = write_voc(tmp_path / "s")
    (root / "JPEGImages" / "2007_000033.jpg").unlink()
    with pytest.raises(ValueError, match=r"JPEGImages/2007_000033.jpg: is missing"):
        prepare(PascalVoc, root, tmp_path / "data")
