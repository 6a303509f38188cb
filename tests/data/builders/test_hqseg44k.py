import numpy as np
import pytest

from mst_jax.data.builders.hqseg44k import _PARTS, Hqseg44k
from tests.helpers.image_files import LABELS, write_image
from tests.helpers.prepare_dataset import prepare

MASK = (LABELS > 0).astype(np.uint8) * 255


def write_hqseg(root, splits=("train", "val")):
    for split in splits:
        for _, pictures, masks in _PARTS[split]:
            write_image(root / pictures / "a.jpg")
            write_image(root / masks / "a.png", MASK)
    return root


def test_all_eleven_sets_are_read(tmp_path):
    root = write_hqseg(tmp_path / "s")
    splits, faults = prepare(Hqseg44k, root, tmp_path / "data")
    assert sorted(splits["train"]) == [
        *("DIS5K-TR-a", "DUTS-TE-a", "DUTS-TR-a", "ECSSD-a", "FSS-a", "MSRA-10K-a"),
        "ThinObject5K-TR-a",
    ]
    assert sorted(splits["val"]) == [
        "COIFT-a",
        "DIS5K-VD-a",
        "HRSOD-a",
        "ThinObject5K-TE-a",
    ]
    for example in (*splits["train"].values(), *splits["val"].values()):
        np.testing.assert_array_equal(example.layers, [LABELS > 0])
    assert not faults.lines


def test_a_split_that_is_not_there_is_left_out_but_a_missing_set_is_told(tmp_path):
    root = write_hqseg(tmp_path / "s", ["val"])
    splits, _ = prepare(Hqseg44k, root, tmp_path / "data")
    assert list(splits) == ["val"]
    (root / "thin_object_detection/COIFT/masks/a.png").unlink()
    (root / "thin_object_detection/COIFT/masks").rmdir()
    with pytest.raises(ValueError, match=r"COIFT/masks: COIFT is missing or not whole"):
        prepare(Hqseg44k, root, tmp_path / "data")
