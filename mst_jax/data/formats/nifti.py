"""NIfTI volumes (MRI, CT) -> pictures and label maps, slice by slice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
from jaxtyping import UInt8, UInt16

from mst_jax.data.errors import BadFile
from mst_jax.data.formats.images import as_labels

VOLUME_SUFFIXES = (".nii", ".nii.gz")
_DARKEST, _BRIGHTEST = 0.5, 99.5  # percent of the voxels that are not 0


class Slice(NamedTuple):
    """One slice of a volume and of its labels."""

    number: int
    image: UInt8[np.ndarray, "h w"]
    labels: UInt16[np.ndarray, "h w"]


def is_volume(path: Path) -> bool:
    """Is it a NIfTI file, by its name?"""
    return path.name.lower().endswith(VOLUME_SUFFIXES)


def volume_stem(path: Path) -> str:
    """The name without `.nii` or `.nii.gz`."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def read_slices(volume: Path, labels: Path) -> Iterator[Slice]:
    """Yields the slices of a volume, cut across its shortest axis.

    Rows run against the second of the remaining axes, columns along the first, which
    puts the front of the head on top in axial slices that are stored as usual. Grey
    values: 0.5 to 99.5 percent of the voxels other than 0 become 0 to 255.

    Raises:
        BadFile: one of the two is damaged, or they are of different shapes.
    """
    voxels, marks = _read(volume), _read(labels)
    if voxels.shape != marks.shape:
        raise BadFile(
            labels, f"is of shape {marks.shape}, its volume of {voxels.shape}"
        )
    axis = int(np.flatnonzero(np.array(voxels.shape) == min(voxels.shape))[-1])
    voxels, marks = np.moveaxis(voxels, axis, 0), np.moveaxis(marks, axis, 0)
    low, high = _window(voxels)
    for number, (grey, mark) in enumerate(zip(voxels, marks, strict=True)):
        scaled = (np.clip(grey, low, high) - low) / max(high - low, 1e-12) * 255.0
        try:
            upright = as_labels(np.ascontiguousarray(mark.T[::-1]))
        except ValueError as error:
            raise BadFile(labels, error) from error
        yield Slice(number, np.rint(scaled.T[::-1]).astype(np.uint8), upright)


def _read(path: Path) -> np.ndarray:
    try:
        voxels = np.asarray(nibabel.load(path).dataobj, np.float32)
    except FileNotFoundError as error:
        raise BadFile(path, "is missing") from error
    except MemoryError as error:
        raise BadFile(path, "does not fit into memory (or is damaged)") from error
    except Exception as error:  # damage is met with errors of a dozen kinds
        raise BadFile(path, f"not a NIfTI volume that can be read ({error})") from error
    if voxels.ndim != 3 or not voxels.size:
        raise BadFile(path, f"is of shape {voxels.shape}, expected three axes")
    if not np.isfinite(voxels).all():
        raise BadFile(path, "holds values that are no numbers")
    return voxels


def _window(voxels: np.ndarray) -> tuple[float, float]:
    """The values that become black and white."""
    filled = voxels[voxels != 0]
    if not filled.size:
        return 0.0, 1.0
    low, high = np.percentile(filled, (_DARKEST, _BRIGHTEST))
    return float(low), float(high)
