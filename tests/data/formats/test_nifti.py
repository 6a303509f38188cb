import itertools

import nibabel
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
            r"another grid.* shape \(3, 3, 2\).* the volume has shape \(4, 3, 2\)",
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


def write_nifti(path, voxels, affine):
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


def test_image_and_labels_are_brought_to_one_orientation(tmp_path):
    mirrored = np.diag([-1.0, 1, 1, 1])
    mirrored[0, 3] = 3
    swapped = np.eye(4)[[1, 0, 2, 3]]
    upright = read_written_slices(tmp_path, VOXELS, LABEL_VOXELS)
    for affine, labels in (
        (mirrored, LABEL_VOXELS[::-1]),
        (swapped, np.swapaxes(LABEL_VOXELS, 0, 1)),
    ):
        write_nifti(tmp_path / "m.nii.gz", labels, affine)
        slices = read_slices(tmp_path / "v.nii.gz", tmp_path / "m.nii.gz")
        for expected, volume_slice in zip(upright, slices, strict=True):
            np.testing.assert_array_equal(volume_slice.labels, expected.labels)
            np.testing.assert_array_equal(volume_slice.image, expected.image)


@pytest.mark.parametrize("signs", list(itertools.product([-1, 1], repeat=3)))
def test_slices_are_upright_whatever_the_order_of_storage(signs, tmp_path):
    # A bright spot at the right, front, upper corner.
    voxels, steps = VOXELS.copy(), np.array(signs)
    voxels[-1, -1, -1] = 1000
    slices = tuple(slice(None, None, int(step)) for step in steps)
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = np.where(steps < 0, np.array(voxels.shape) - 1, 0)
    for stem, values in (("v", voxels), ("m", LABEL_VOXELS)):
        write_nifti(tmp_path / f"{stem}.nii.gz", values[slices], affine)
    _, second = read_slices(tmp_path / "v.nii.gz", tmp_path / "m.nii.gz")
    assert np.unravel_index(second.image.argmax(), (3, 4)) == (0, 3)
    assert second.labels.tolist() == [[0, 0, 0, 2], [0, 0, 0, 4], [1, 0, 0, 0]]


@pytest.mark.parametrize("trailing_axes", [(1,), (1, 1)])
def test_trailing_axes_of_1_are_accepted(trailing_axes, tmp_path):
    expected = read_written_slices(tmp_path, VOXELS, LABEL_VOXELS)
    shape = (*VOXELS.shape, *trailing_axes)
    slices = read_written_slices(tmp_path, VOXELS.reshape(shape), LABEL_VOXELS)
    for left, right in zip(slices, expected, strict=True):
        np.testing.assert_array_equal(left.image, right.image)
        np.testing.assert_array_equal(left.labels, right.labels)


def test_differing_grids_are_refused_with_shapes_and_affines(tmp_path):
    write_volume(tmp_path / "v.nii.gz", VOXELS)
    write_nifti(tmp_path / "m.nii.gz", LABEL_VOXELS, np.diag([0.5, 0.5, 2, 1]))
    with pytest.raises(BadFileError, match=r"affine \[\[0\.5, .*affine \[\[1\.0"):
        list(read_slices(tmp_path / "v.nii.gz", tmp_path / "m.nii.gz"))


def test_labels_that_are_off_by_rounding_are_read(tmp_path):
    write_volume(tmp_path / "v.nii.gz", VOXELS)
    affine = np.eye(4)
    affine[0, 3] = 1e-3
    labels = LABEL_VOXELS + np.float32(1e-5)
    write_nifti(tmp_path / "m.nii.gz", labels, affine)
    _, second = read_slices(tmp_path / "v.nii.gz", tmp_path / "m.nii.gz")
    assert second.labels.tolist() == [[0, 0, 0, 2], [0, 0, 0, 4], [1, 0, 0, 0]]


def test_smoothed_labels_are_refused(tmp_path):
    rows, columns = np.mgrid[:64, :64]
    distance = np.hypot(rows - 30, columns - 30)
    soft = (255 / (1 + np.exp((distance - 15) / 2))).astype(np.uint8)
    labels = np.stack([soft] * 3, axis=-1)
    with pytest.raises(BadFileError, match="looks interpolated"):
        read_written_slices(tmp_path, labels.astype(np.int16), labels)
