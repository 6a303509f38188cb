import numpy as np
import pytest

from mst_jax.data.builders.brats import Brats
from tests.helpers.image_files import LABELS, write_image
from tests.helpers.prepare_dataset import prepare
from tests.helpers.volume_files import MARKS, VOXELS, write_volume


def test_folders_of_slices(tmp_path):
    root = tmp_path / "s" / "BraTS20"
    write_image(root / "image" / "a.png", np.full((3, 4), 9, np.uint8))
    write_image(root / "annotation" / "a.png", LABELS.astype(np.uint8))
    splits, _ = prepare(Brats, tmp_path / "s", tmp_path / "data")
    np.testing.assert_array_equal(splits["test"]["a"].layers, [LABELS > 0])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_volumes_slice_by_slice(suffix, tmp_path):
    case = tmp_path / "s" / "BraTS20_Training_001"
    for modality, voxels in (("flair", VOXELS), ("t1", VOXELS), ("seg", MARKS)):
        write_volume(case / f"{case.name}_{modality}{suffix}", voxels)
    splits, faults = prepare(Brats, tmp_path / "s", tmp_path / "data")
    assert list(splits["test"]) == ["BraTS20_Training_001-001"]
    (example,) = splits["test"].values()
    np.testing.assert_array_equal(
        example.layers, [[[0, 0, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0]]]
    )
    assert faults.remarks == {"slices without an object": 1}


def test_labels_without_volume_and_torn_volumes_are_named(tmp_path):
    for case in ("A", "B", "C"):
        write_volume(tmp_path / "s" / case / f"{case}_seg.nii.gz", MARKS)
    write_volume(tmp_path / "s" / "B" / "B_flair.nii.gz", VOXELS)
    (tmp_path / "s" / "C" / "C_flair.nii.gz").write_bytes(b"\x1f\x8b torn")
    write_volume(tmp_path / "s" / "D" / "D_flair.nii.gz", VOXELS)
    write_volume(tmp_path / "s" / "twice" / "B" / "B_flair.nii.gz", VOXELS)
    with pytest.raises(ValueError, match="4 bad files") as caught:
        prepare(Brats, tmp_path / "s", tmp_path / "data")
    assert "D/D_flair.nii.gz: has no labels D_seg.nii.gz" in str(caught.value)
    assert "twice/B/B_flair.nii.gz: has the same name as" in str(caught.value)
    assert "A/A_seg.nii.gz: has no volume A_flair.nii.gz" in str(caught.value)
    assert "C/C_flair.nii.gz: not a NIfTI volume" in str(caught.value)
    splits, _ = prepare(Brats, tmp_path / "s", tmp_path / "data", skip_bad=True)
    assert list(splits["test"]) == ["B-001"]
