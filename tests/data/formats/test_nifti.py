import numpy as np
import pytest

from mst_jax.data.file_errors import BadFileError
from mst_jax.data.formats.nifti import is_volume, read_slices, volume_stem
from tests.helpers.volume_files import LABEL_VOXELS, VOXELS, write_volume


def read_written_slices(tmp_path, voxels, label_voxels):
    write_volume(tmp_path / "v.nii.gz", voxels)
    write_volume(tmp_path / "m.nii.gz", label_voxels)
    return list(read_slices(tmp_path / "v.nii.gz", tmp_path / "m.nii.gz"))


def test_shortest_axis_is_cut_and_slices_are_upright(tmp_path):
    first, second = read_written_slices(tmp_path, VOXELS, LABEL_VOXELS)
    assert (first.index, second.index) == (0, 1)
    assert not first.labels.any()
    np.testing.assert_array_equal(  # x to the right, y up
        second.labels, [[0, 0, 0, 2], [0, 0, 0, 4], [1, 0, 0, 0]]
    )
    order = np.argsort(second.image, axis=None).reshape(3, 4)
    rank = np.argsort(order, axis=None).reshape(3, 4)
    np.testing.assert_array_equal(rank, [[2, 5, 8, 11], [1, 4, 7, 10], [0, 3, 6, 9]])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_axis_can_be_the_shortest(axis, tmp_path):
    voxels = np.moveaxis(VOXELS, 2, axis)
    label_voxels = np.moveaxis(LABEL_VOXELS, 2, axis)
    slices = read_written_slices(tmp_path, voxels, label_voxels)
    assert [item.labels.shape for item in slices] == [(3, 4)] * 2
    np.testing.assert_array_equal(slices[1].labels, LABEL_VOXELS[..., 1].T[::-1])


def test_last_of_equally_short_axes_is_cut(tmp_path):
    voxels = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    label_voxels = np.array([[[1, 5], [2, 6]], [[3, 7], [4, 8]]], np.uint8)
    first, _ = read_written_slices(tmp_path, voxels, label_voxels)
    np.testing.assert_array_equal(first.labels, [[2, 4], [1, 3]])


def test_outlier_voxels_do_not_darken_the_rest(tmp_path):
    voxels = np.zeros((20, 20, 10), np.float32)
    voxels[5:15] = np.linspace(100, 200, 10)[:, None, None]
    voxels[0, 0, 0] = 1e6
    first = read_written_slices(tmp_path, voxels, np.ones(voxels.shape, np.uint8))[0]
    assert first.image[10, 14] > 250 and first.image[10, 5] < 5
    assert first.image[0, 0] == 0


def test_empty_volume_is_black(tmp_path):
    empty = np.zeros((4, 4, 2), np.int16)
    slices = read_written_slices(tmp_path, empty, empty)
    assert not any(item.image.any() for item in slices)


@pytest.mark.parametrize(
    ("voxels", "label_voxels", "stem", "reason"),
    [
        (
            VOXELS,
            LABEL_VOXELS[:3],
            "m",
            r"shape \(3, 3, 2\), its volume of \(4, 3, 2\)",
        ),
        (VOXELS[..., None] * np.ones(2), LABEL_VOXELS, "v", "expected three axes"),
        (VOXELS * np.float32("nan"), LABEL_VOXELS, "v", "not finite"),
        (VOXELS, LABEL_VOXELS * np.float32(0.5), "m", "fractions"),
        (VOXELS, LABEL_VOXELS * np.int16(-1), "m", "expected 0 to 65534"),
    ],
)
def test_bad_volume_raises_with_its_path(voxels, label_voxels, stem, reason, tmp_path):
    with pytest.raises(BadFileError, match=reason) as caught:
        read_written_slices(tmp_path, voxels, label_voxels)
    assert caught.value.path == tmp_path / f"{stem}.nii.gz"


@pytest.mark.parametrize("file_name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.95])
def test_truncated_volume_raises_with_its_path(file_name, fraction, tmp_path):
    voxels = np.random.default_rng(0).normal(size=(30, 30, 10)).astype(np.float32)
    write_volume(tmp_path / file_name, voxels)
    write_volume(tmp_path / "m.nii", np.ones(voxels.shape, np.uint8))
    data = (tmp_path / file_name).read_bytes()
    (tmp_path / file_name).write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(
        BadFileError, match="not a NIfTI volume that can be read"
    ) as caught:
        list(read_slices(tmp_path / file_name, tmp_path / "m.nii"))
    assert caught.value.path == tmp_path / file_name


def test_missing_volume_raises(tmp_path):
    with pytest.raises(BadFileError, match="is missing"):
        list(read_slices(tmp_path / "v.nii", tmp_path / "m.nii"))


def test_volumes_are_recognized_by_name(tmp_path):
    assert is_volume(tmp_path / "A.NII.gz") and is_volume(tmp_path / "a.nii")
    assert not is_volume(tmp_path / "a.png")
    assert volume_stem(tmp_path / "a.b.nii.gz") == "a.b"
