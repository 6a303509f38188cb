import numpy as np
import pytest

from mst_jax.data.builders.davis2017 import Davis2017
from tests.helpers.image_files import LABELS, write_image, write_palette
from tests.helpers.prepare_dataset import prepare


def write_davis(root, size="480p"):
    lists = root / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    for split, sequence in (("train", "bear"), ("val", "bike-packing")):
        (lists / f"{split}.txt").write_text(f"{sequence}\n")
        for frame, labels in (("00000", LABELS), ("00001", 0 * LABELS)):
            write_image(root / "JPEGImages" / size / sequence / f"{frame}.jpg")
            path = root / "Annotations" / size / sequence / f"{frame}.png"
            write_palette(path, labels)
    return root


@pytest.mark.parametrize("size", ["480p", "Full-Resolution"])
def test_each_label_is_an_object_and_empty_frames_are_left_out(size, tmp_path):
    write_davis(tmp_path / "s" / "DAVIS", size)
    splits, faults = prepare(Davis2017, tmp_path / "s", tmp_path / "data")
    assert list(splits["train"]) == ["bear-00000"]
    np.testing.assert_array_equal(splits["val"]["bike-packing-00000"].layers, [LABELS])
    assert faults.remarks == {"label maps without an object": 2}


def test_a_sequence_that_is_missing_is_named(tmp_path):
    root = write_davis(tmp_path / "s")
    (root / "ImageSets" / "2017" / "val.txt").write_text("bike-packing\nswing\n")
    with pytest.raises(ValueError, match=r"JPEGImages/480p/swing: is missing"):
        prepare(Davis2017, root, tmp_path / "data")
