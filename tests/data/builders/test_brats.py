import numpy as np
import pytest

from mst_jax.data.builders.brats import Brats
from tests.helpers.image_files import LABELS, write_image
from tests.helpers.prepare_dataset import prepare_dataset
from tests.helpers.volume_files import LABEL_VOXELS, VOXELS, write_volume


def test_all_labels_of_a_slice_are_one_object(tmp_path):
    source = tmp_path / "s" / "BraTS20"
    write_image(source / "image" / "a.png", np.full((3, 4), 9, np.uint8))
    write_image(source / "annotation" / "a.png", LABELS.astype(np.uint8))
    splits, _ = prepare_dataset(Brats, tmp_path / "s", tmp_path / "data")
    np.testing.assert_array_equal(splits["test"]["a"].layers, [LABELS > 0])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_each_slice_of_a_volume_with_a_tumor_is_an_example(suffix, tmp_path):
    case_folder = tmp_path / "s" / "BraTS20_Training_001"
    for modality, voxels in (("flair", VOXELS), ("t1", VOXELS), ("seg", LABEL_VOXELS)):
        write_volume(case_folder / f"{case_folder.name}_{modality}{suffix}", voxels)
    splits, errors = prepare_dataset(Brats, tmp_path / "s", tmp_path / "data")
    assert list(splits["test"]) == ["BraTS20_Training_001-001"]
    (example,) = splits["test"].values()
    np.testing.assert_array_equal(
        example.layers, [[[0, 0, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0]]]
    )
    assert errors.skip_counts == {"slices without an object": 1}


def test_incomplete_and_damaged_volumes_are_reported(tmp_path):
    for case_name in ("A", "B", "C"):
        write_volume(
            tmp_path / "s" / case_name / f"{case_name}_seg.nii.gz", LABEL_VOXELS
        )
    write_volume(tmp_path / "s" / "B" / "B_flair.nii.gz", VOXELS)
    (tmp_path / "s" / "C" / "C_flair.nii.gz").write_bytes(b"\x1f\x8b torn")
    write_volume(tmp_path / "s" / "D" / "D_flair.nii.gz", VOXELS)
    write_volume(tmp_path / "s" / "twice" / "B" / "B_flair.nii.gz", VOXELS)
    with pytest.raises(ValueError, match="4 bad files") as error_info:
        prepare_dataset(Brats, tmp_path / "s", tmp_path / "data")
    assert "D/D_flair.nii.gz: has no labels D_seg.nii.gz" in str(error_info.value)
    assert "twice/B/B_flair.nii.gz: has the same name as" in str(error_info.value)
    assert "A/A_seg.nii.gz: has no volume A_flair.nii.gz" in str(error_info.value)
    assert "C/C_flair.nii.gz: not a NIfTI volume" in str(error_info.value)
    splits, _ = prepare_dataset(Brats, tmp_path / "s", tmp_path / "data", skip_bad=True)
    assert list(splits["test"]) == ["B-001"]
