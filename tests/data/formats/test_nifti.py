import numpy as np
import pytest

from mst_jax.data.errors import BadFile
from mst_jax.data.formats.nifti import is_volume, read_slices, volume_stem
from tests.helpers.volume_files import MARKS, VOXELS, write_volume


def slices_of(tmp_path, voxels, marks):
    write_volume(tmp_path / "v.nii.gz", voxels)
    write_volume(tmp_path / "m.nii.gz", marks)
    return list(read_slices(tmp_path / "v.nii.gz", tmp_path / "m.nii.gz"))


def test_slices_cut_the_shortest_axis_and_stand_upright(tmp_path):
    first, second = slices_of(tmp_path, VOXELS, MARKS)
    assert (first.number, second.number) == (0, 1)
    assert not first.labels.any()
    np.testing.assert_array_equal(  # x to the right, y up
        second.labels, [[0, 0, 0, 2], [0, 0, 0, 4], [1, 0, 0, 0]]
    )
    order = np.argsort(second.image, axis=None).reshape(3, 4)
    rank = np.argsort(order, axis=None).reshape(3, 4)
    np.testing.assert_array_equal(rank, [[2, 5, 8, 11], [1, 4, 7, 10], [0, 3, 6, 9]])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_whichever_axis_is_the_shortest(axis, tmp_path):
    voxels = np.moveaxis(VOXELS, 2, axis)
    marks = np.moveaxis(MARKS, 2, axis)
    slices = slices_of(tmp_path, voxels, marks)
    assert [s.labels.shape for s in slices] == [(3, 4)] * 2
    np.testing.assert_array_equal(slices[1].labels, MARKS[..., 1].T[::-1])


def test_of_axes_of_one_length_the_last_is_cut(tmp_path):
    voxels = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    marks = np.array([[[1, 5], [2, 6]], [[3, 7], [4, 8]]], np.uint8)
    first, _ = slices_of(tmp_path, voxels, marks)
    np.testing.assert_array_equal(first.labels, [[2, 4], [1, 3]])


def test_stray_bright_voxels_do_not_darken_the_rest(tmp_path):
    voxels = np.zeros((20, 20, 10), np.float32)
    voxels[5:15] = np.linspace(100, 200, 10)[:, None, None]
    voxels[0, 0, 0] = 1e6
    first = slices_of(tmp_path, voxels, np.ones(voxels.shape, np.uint8))[0]
    assert first.image[10, 14] > 250 and first.image[10, 5] < 5
    assert first.image[0, 0] == 0


def test_an_empty_volume_is_black(tmp_path):
    empty = np.zeros((4, 4, 2), np.int16)
    assert not any(s.image.any() for s in slices_of(tmp_path, empty, empty))


@pytest.mark.parametrize(
    ("voxels", "marks", "file", "reason"),
    [
        (VOXELS, MARKS[:3], "m", r"shape \(3, 3, 2\), its volume of \(4, 3, 2\)"),
        (VOXELS[..., None] * np.ones(2), MARKS, "v", "expected three axes"),
        (VOXELS * np.float32("nan"), MARKS, "v", "no numbers"),
        (VOXELS, MARKS * np.float32(0.5), "m", "fractions"),
        (VOXELS, MARKS * np.int16(-1), "m", "expected 0 to 65534"),
    ],
)
def test_what_does_not_fit_is_named(voxels, marks, file, reason, tmp_path):
    with pytest.raises(BadFile, match=reason) as caught:
        slices_of(tmp_path, voxels, marks)
    assert caught.value.file == tmp_path / f"{file}.nii.gz"


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_a_truncated_volume_is_named(name, share, tmp_path):
    voxels = np.random.default_rng(0).normal(size=(30, 30, 10)).astype(np.float32)
    write_volume(tmp_path / name, voxels)
    write_volume(tmp_path / "m.nii", np.ones(voxels.shape, np.uint8))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    with pytest.raises(BadFile, match="not a NIfTI volume that can be read") as caught:
        list(read_slices(tmp_path / name, tmp_path / "m.nii"))
    assert caught.value.file == tmp_path / name


def test_a_missing_volume_is_named(tmp_path):
    with pytest.raises(BadFile, match="is missing"):
        list(read_slices(tmp_path / "v.nii", tmp_path / "m.nii"))


def test_names_of_volumes(tmp_path):
    assert is_volume(tmp_path / "A.NII.gz") and is_volume(tmp_path / "a.nii")
    assert not is_volume(tmp_path / "a.png")
    assert volume_stem(tmp_path / "a.b.nii.gz") == "a.b"
