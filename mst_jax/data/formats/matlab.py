"""Read variables of MATLAB files, in which Berkeley publishes its segmentations."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from mst_jax.extras import needs_extra

with needs_extra("data"):
    import scipy.io


def read_variable(path: Path, variable_name: str) -> np.ndarray:
    """Read one variable of a .mat file.

    Args:
        path: Path of the .mat file.
        variable_name: Name of the variable in the file.

    Returns:
        The array; structs and cells are arrays of objects.

    Raises:
        ValueError: The file is damaged, no .mat file, or lacks that variable.
    """
    mat_file = io.BytesIO(path.read_bytes())
    try:
        return scipy.io.loadmat(mat_file, variable_names=[variable_name])[variable_name]
    except KeyError as error:
        raise ValueError(f"has no variable {variable_name!r}") from error
    except Exception as error:  # SciPy raises errors of a dozen types for damage
        raise ValueError(f"not a .mat file that can be read ({error})") from error


def read_field(struct_array: np.ndarray, field_name: str) -> np.ndarray:
    """Return a field of a struct.

    Args:
        struct_array: Array of one struct, as `read_variable` returns it.
        field_name: Name of the field.

    Raises:
        ValueError: The array is not a struct, has no such field, or its size is not 1.
    """
    struct_array = np.asarray(struct_array)
    if struct_array.dtype.names is None or field_name not in struct_array.dtype.names:
        raise ValueError(f"has no field {field_name!r}, it holds {struct_array.dtype}")
    if struct_array.size != 1:
        raise ValueError(f"holds {struct_array.size} structs, expected one")
    # MATLAB wraps every value in an array of 1x1.
    return struct_array[field_name].item()
