import numpy as np
import pytest

from mst_jax.data.builders.oaizib import Oaizib
from tests.helpers.image_files import LABELS, write_image
from tests.helpers.prepare_dataset import prepare_dataset
from tests.helpers.volume_files import LABEL_VOXELS, VOXELS, write_volume


def test_each_label_of_a_slice_is_an_object(tmp_path):
    source = tmp_path / "s"
    write_image(source / "test" / "image" / "a.png", np.full((3, 4), 9, np.uint8))
    write_image(source / "test" / "annotations" / "a.png", LABELS.astype(np.uint8))
    splits, _ = prepare_dataset(Oaizib, source, tmp_path / "data")
    np.testing.assert_array_equal(splits["test"]["a"].layers, [LABELS])


def test_each_slice_of_a_volume_with_labels_is_an_example(tmp_path):
    source = tmp_path / "s"
    for folder_suffix, case_name in (("Tr", "oaizib_001"), ("Ts", "oaizib_404")):
        write_volume(
            source / f"images{folder_suffix}" / f"{case_name}_0000.nii.gz", VOXELS
        )
        write_volume(
            source / f"labels{folder_suffix}" / f"{case_name}.nii.gz", LABEL_VOXELS
        )
    splits, _ = prepare_dataset(Oaizib, source, tmp_path / "data")
    assert list(splits["train"]) == ["oaizib_001-001"]
    np.testing.assert_array_equal(
        splits["test"]["oaizib_404-001"].layers,
        [[[0, 0, 0, 2], [0, 0, 0, 4], [1, 0, 0, 0]]],
    )


def test_volumes_and_labels_without_a_partner_are_reported(tmp_path):
    write_volume(tmp_path / "imagesTs" / "a_0000.nii.gz", VOXELS)
    write_volume(tmp_path / "labelsTs" / "b.nii.gz", LABEL_VOXELS)
    with pytest.raises(ValueError, match="2 bad files") as error_info:
        prepare_dataset(Oaizib, tmp_path, tmp_path / "data")
    assert "a_0000.nii.gz: has no labels labelsTs/a.nii.gz" in str(error_info.value)
    assert "labelsTs/b.nii.gz: labels without volume" in str(error_info.value)
