"""Read NIfTI volumes (MRI, CT) as images and label maps, slice by slice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from mst_jax.data.file_errors import BadFileError
from mst_jax.data.formats.label_maps import to_label_map
from mst_jax.extras import needs_extra

with needs_extra("data"):
    import nibabel

VOLUME_SUFFIXES = (".nii", ".nii.gz")

# Percentiles of the nonzero voxels that become black and white.
_BLACK_PERCENTILE, _WHITE_PERCENTILE = 0.5, 99.5


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

    Rows run against the second of the remaining axes, columns along the first, which
    puts the front of the head on top in axial slices that are stored as usual. Gray
    values: 0.5 to 99.5 percent of the voxels other than 0 become 0 to 255.

    Args:
        volume_path: Path of the NIfTI file with the intensities.
        labels_path: Path of the NIfTI file with the labels, of the same shape.

    Yields:
        The slices in their order.

    Raises:
        BadFileError: One of the two is damaged, or they are of different shapes.
    """
    voxels, label_voxels = _read_voxels(volume_path), _read_voxels(labels_path)
    if voxels.shape != label_voxels.shape:
        raise BadFileError(
            labels_path,
            f"is of shape {label_voxels.shape}, its volume of {voxels.shape}",
        )
    # Of axes of equal length the last one is cut.
    cut_axis = int(np.flatnonzero(np.array(voxels.shape) == min(voxels.shape))[-1])
    voxels = np.moveaxis(voxels, cut_axis, 0)
    label_voxels = np.moveaxis(label_voxels, cut_axis, 0)
    black_value, white_value = _intensity_range(voxels)
    for index, (voxel_plane, label_plane) in enumerate(
        zip(voxels, label_voxels, strict=True)
    ):
        scaled_plane = (
            (np.clip(voxel_plane, black_value, white_value) - black_value)
            / max(white_value - black_value, 1e-12)
            * 255.0
        )
        try:
            # NIfTI's second axis points up, rows point down.
            labels = to_label_map(np.ascontiguousarray(label_plane.T[::-1]))
        except ValueError as error:
            raise BadFileError(labels_path, error) from error
        image = np.rint(scaled_plane.T[::-1]).astype(np.uint8)
        yield VolumeSlice(index, image, labels)


def _read_voxels(path: Path) -> Float32[np.ndarray, "x y z"]:
    """Read the voxels of a NIfTI file; BadFileError if they are not a finite volume."""
    try:
        # nibabel's stubs do not know that NIfTI images have `dataobj`.
        nifti_image: Any = nibabel.load(path)  # pyright: ignore[reportPrivateImportUsage]
        voxels = np.asarray(nifti_image.dataobj, np.float32)
    except FileNotFoundError as error:
        raise BadFileError(path, "is missing") from error
    except MemoryError as error:
        # A damaged header may claim a huge volume.
        raise BadFileError(path, "does not fit into memory (or is damaged)") from error
    except Exception as error:  # nibabel raises errors of a dozen types for damage
        raise BadFileError(
            path, f"not a NIfTI volume that can be read ({error})"
        ) from error
    if voxels.ndim != 3 or not voxels.size:
        raise BadFileError(path, f"is of shape {voxels.shape}, expected three axes")
    if not np.isfinite(voxels).all():
        raise BadFileError(path, "holds values that are not finite")
    return voxels


def _intensity_range(voxels: Float32[np.ndarray, "x y z"]) -> tuple[float, float]:
    """Return the intensities that become black and white."""
    # Zero is the air around the body, which would pull both ends down.
    nonzero_voxels = voxels[voxels != 0]
    if not nonzero_voxels.size:
        return 0.0, 1.0
    black_value, white_value = np.percentile(
        nonzero_voxels, (_BLACK_PERCENTILE, _WHITE_PERCENTILE)
    )
    return float(black_value), float(white_value)
