import numpy as np
import pytest

from mst_jax.data.builders.hqseg44k import _PART_SETS, Hqseg44k
from tests.helpers.image_files import LABELS, write_image
from tests.helpers.prepare_dataset import prepare_dataset

OBJECT_MASK = (LABELS > 0).astype(np.uint8) * 255


def write_hqseg(source, splits=("train", "val")):
    for split in splits:
        for _, image_folder, mask_folder in _PART_SETS[split]:
            write_image(source / image_folder / "a.jpg")
            write_image(source / mask_folder / "a.png", OBJECT_MASK)
    return source


def test_all_eleven_data_sets_are_read(tmp_path):
    source = write_hqseg(tmp_path / "s")
    examples_by_split, errors = prepare_dataset(Hqseg44k, source, tmp_path / "data")
    assert sorted(examples_by_split["train"]) == [
        *("DIS5K-TR-a", "DUTS-TE-a", "DUTS-TR-a", "ECSSD-a", "FSS-a", "MSRA-10K-a"),
        "ThinObject5K-TR-a",
    ]
    assert sorted(examples_by_split["val"]) == [
        "COIFT-a",
        "DIS5K-VD-a",
        "HRSOD-a",
        "ThinObject5K-TE-a",
    ]
    for example in (
        *examples_by_split["train"].values(),
        *examples_by_split["val"].values(),
    ):
        np.testing.assert_array_equal(example.layers, [LABELS > 0])
    assert not errors.messages


def test_a_missing_split_is_skipped_but_a_missing_data_set_is_reported(tmp_path):
    source = write_hqseg(tmp_path / "s", ["val"])
    examples_by_split, _ = prepare_dataset(Hqseg44k, source, tmp_path / "data")
    assert list(examples_by_split) == ["val"]
    (source / "thin_object_detection/COIFT/masks/a.png").unlink()
    (source / "thin_object_detection/COIFT/masks").rmdir()
    with pytest.raises(
        ValueError, match=r"COIFT/masks: COIFT is missing or incomplete"
    ):
        prepare_dataset(Hqseg44k, source, tmp_path / "data")
