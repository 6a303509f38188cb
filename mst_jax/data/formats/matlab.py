"""MATLAB files, as Berkeley publishes its segmentations."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import scipy.io


def read_variable(path: Path, name: str) -> np.ndarray:
    """One variable of a .mat file, structs and cells as arrays of objects.

    Raises:
        ValueError: damaged, not a .mat file, or without that variable.
    """
    file = io.BytesIO(path.read_bytes())
    try:
        return scipy.io.loadmat(file, variable_names=[name])[name]
    except KeyError as error:
        raise ValueError(f"has no variable {name!r}") from error
    except Exception as error:  # SciPy meets damage with errors of a dozen kinds
        raise ValueError(f"not a .mat file that can be read ({error})") from error


def read_field(struct: np.ndarray, name: str) -> np.ndarray:
    """A field of a struct of size 1x1; ValueError if there is none such."""
    struct = np.asarray(struct)
    if struct.dtype.names is None or name not in struct.dtype.names:
        raise ValueError(f"has no field {name!r}, it holds {struct.dtype}")
    if struct.size != 1:
        raise ValueError(f"holds {struct.size} structs, expected one")
    return struct[name].item()
