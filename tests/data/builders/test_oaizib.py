import numpy as np
import pytest

from mst_jax.data.builders.oaizib import Oaizib
from tests.helpers.image_files import LABELS, write_image
from tests.helpers.prepare_dataset import prepare
from tests.helpers.volume_files import MARKS, VOXELS, write_volume


def test_folders_of_slices_keep_each_label(tmp_path):
    root = tmp_path / "s"
    write_image(root / "test" / "image" / "a.png", np.full((3, 4), 9, np.uint8))
    write_image(root / "test" / "annotations" / "a.png", LABELS.astype(np.uint8))
    splits, _ = prepare(Oaizib, root, tmp_path / "data")
    np.testing.assert_array_equal(splits["test"]["a"].layers, [LABELS])


def test_volumes_slice_by_slice(tmp_path):
    root = tmp_path / "s"
    for part, case in (("Tr", "oaizib_001"), ("Ts", "oaizib_404")):
        write_volume(root / f"images{part}" / f"{case}_0000.nii.gz", VOXELS)
        write_volume(root / f"labels{part}" / f"{case}.nii.gz", MARKS)
    splits, _ = prepare(Oaizib, root, tmp_path / "data")
    assert list(splits["train"]) == ["oaizib_001-001"]
    np.testing.assert_array_equal(
        splits["test"]["oaizib_404-001"].layers,
        [[[0, 0, 0, 2], [0, 0, 0, 4], [1, 0, 0, 0]]],
    )


def test_what_has_no_partner_is_named(tmp_path):
    write_volume(tmp_path / "imagesTs" / "a_0000.nii.gz", VOXELS)
    write_volume(tmp_path / "labelsTs" / "b.nii.gz", MARKS)
    with pytest.raises(ValueError, match="2 bad files") as caught:
        prepare(Oaizib, tmp_path, tmp_path / "data")
    assert "a_0000.nii.gz: has no labels labelsTs/a.nii.gz" in str(caught.value)
    assert "labelsTs/b.nii.gz: labels without volume" in str(caught.value)
