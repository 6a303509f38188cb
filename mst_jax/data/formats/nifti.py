"""Read NIfTI volumes (MRI, CT) as images and label maps, slice by slice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8, UInt16

from mst_jax.data.decoding.smoothed_masks import is_smoothed
from mst_jax.data.decoding.value_range import find_value_range, stretch_to_8_bits
from mst_jax.data.file_errors import BadFileError
from mst_jax.data.formats.label_maps import to_label_map
from mst_jax.extras import needs_extra

with needs_extra("data"):
    import nibabel

VOLUME_SUFFIXES = (".nii", ".nii.gz")

# Affines are rounded when they are stored; a label may be off by this part of a voxel.
_MAX_GRID_DISTANCE = 0.1
# Labels that are stored with a scale are whole numbers up to rounding.
_MAX_ROUNDING = 1e-3


class _Volume(NamedTuple):
    """Voxels [x y z] in RAS, and the affine from voxels to millimeters."""

    voxels: Float32[np.ndarray, "x y z"]
    affine: Float64[np.ndarray, "4 4"]


class VolumeSlice(NamedTuple):
    """One slice of a volume and of its labels.

    Attributes:
        index: Index of the slice along the cut axis, from 0.
        image: [h w] uint8 gray values.
        labels: [h w] uint16 label map.
    """

    index: int
    image: UInt8[np.ndarray, "h w"]
    labels: UInt16[np.ndarray, "h w"]


def is_volume(path: Path) -> bool:
    """Return whether a file is a NIfTI volume, by its name."""
    return path.name.lower().endswith(VOLUME_SUFFIXES)


def volume_stem(path: Path) -> str:
    """Return the name of a volume without `.nii` or `.nii.gz`."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def read_slices(volume_path: Path, labels_path: Path) -> Iterator[VolumeSlice]:
    """Yield the slices of a volume, cut across its shortest axis.

    Both files are brought to the orientation right, anterior, superior (RAS) by their
    affines, so that slices are upright: the front of the body, or its head, is on top.
    Gray values: 0.5 to 99.5 percent of the voxels other than 0 become 0 to 255.

    Args:
        volume_path: Path of the NIfTI file with the intensities.
        labels_path: Path of the NIfTI file with the labels, on the same grid.

    Yields:
        The slices in their order.

    Raises:
        BadFileError: One of the two is damaged, or they are on different grids.
    """
    volume, label_volume = _read_volume(volume_path), _read_volume(labels_path)
    _check_same_grid(volume, label_volume, labels_path)
    voxels, label_voxels = volume.voxels, _round_labels(label_volume.voxels)
    # Of axes of equal length the last one is cut.
    cut_axis = int(np.flatnonzero(np.array(voxels.shape) == min(voxels.shape))[-1])
    voxels = np.moveaxis(voxels, cut_axis, 0)
    label_voxels = np.moveaxis(label_voxels, cut_axis, 0)
    value_range = find_value_range(voxels)
    for index, (voxel_plane, label_plane) in enumerate(
        zip(voxels, label_voxels, strict=True)
    ):
        try:
            # The second of the remaining axes points up, rows point down.
            labels = to_label_map(np.ascontiguousarray(label_plane.T[::-1]))
            if is_smoothed(labels):
                raise ValueError(
                    f"looks interpolated: most values of slice {index} are thin rims "
                    "between two others; resample the labels with nearest neighbor"
                )
        except ValueError as error:
            raise BadFileError(labels_path, error) from error
        image = stretch_to_8_bits(voxel_plane.T[::-1], *value_range)
        yield VolumeSlice(index, image, labels)


def _read_volume(path: Path) -> _Volume:
    """Read a NIfTI file in RAS; BadFileError if it is not a finite volume."""
    try:
        # nibabel's stubs do not know that NIfTI images have `dataobj`.
        nifti_image: Any = nibabel.load(path)  # pyright: ignore[reportPrivateImportUsage]
        nifti_image = nibabel.as_closest_canonical(  # pyright: ignore[reportPrivateImportUsage]
            nifti_image
        )
        voxels = np.asarray(nifti_image.dataobj, np.float32)
        affine = np.asarray(nifti_image.affine, np.float64)
    except FileNotFoundError as error:
        raise BadFileError(path, "is missing") from error
    except MemoryError as error:
        # A damaged header may claim a huge volume.
        raise BadFileError(path, "does not fit into memory (or is damaged)") from error
    except Exception as error:  # nibabel raises errors of a dozen types for damage
        raise BadFileError(
            path, f"not a NIfTI volume that can be read ({error})"
        ) from error
    # Programs append axes for time and channels, of length 1 if there is only one.
    if voxels.ndim > 3 and set(voxels.shape[3:]) == {1}:
        voxels = voxels.reshape(voxels.shape[:3])
    if voxels.ndim != 3 or not voxels.size:
        raise BadFileError(path, f"is of shape {voxels.shape}, expected three axes")
    if not np.isfinite(voxels).all():
        raise BadFileError(path, "holds values that are not finite")
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine) < 4:
        raise BadFileError(path, "has an affine that is not finite or not invertible")
    return _Volume(voxels, affine)


def _check_same_grid(volume: _Volume, labels: _Volume, labels_path: Path) -> None:
    """Raise a BadFileError unless each label voxel lies on its image voxel."""
    # Corners of the label volume, in voxels of the image volume.
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(labels.voxels.shape) - 1)
    corners = np.column_stack([corners, np.ones(len(corners))])
    moved = corners @ labels.affine.T @ np.linalg.inv(volume.affine).T
    has_same_shape = volume.voxels.shape == labels.voxels.shape
    if not has_same_shape or np.abs(moved - corners).max() > _MAX_GRID_DISTANCE:
        raise BadFileError(
            labels_path,
            f"is on another grid than its volume: shape {labels.voxels.shape}, affine "
            f"{_format_affine(labels.affine)}; the volume has shape "
            f"{volume.voxels.shape}, affine {_format_affine(volume.affine)} (both in "
            "RAS); resample the labels to the volume, or correct the affine",
        )


def _round_labels(
    label_voxels: Float32[np.ndarray, "x y z"],
) -> Float32[np.ndarray, "x y z"]:
    """Round values that differ from whole numbers only by the scaling of the file."""
    rounded = np.round(label_voxels)
    is_close = np.abs(label_voxels - rounded) < _MAX_ROUNDING
    return np.where(is_close, rounded, label_voxels)


def _format_affine(affine: Float64[np.ndarray, "4 4"]) -> str:
    """Return the three rows of an affine as text of one line."""
    return str([[float(f"{value:.4g}") for value in row] for row in affine[:3]])
