"""Write small NIfTI volumes for the tests of medical datasets."""

from pathlib import Path

import nibabel
import numpy as np

# [x y z]: z is the shortest axis.
VOXELS = np.arange(4 * 3 * 2, dtype=np.int16).reshape(4, 3, 2)
LABEL_VOXELS = np.zeros((4, 3, 2), np.uint8)
LABEL_VOXELS[0, 0, 1], LABEL_VOXELS[3, 2, 1], LABEL_VOXELS[3, 1, 1] = 1, 2, 4


def write_volume(path: Path, voxels: np.ndarray) -> None:
    """Write voxels as a NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
