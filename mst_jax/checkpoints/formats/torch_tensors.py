"""Tensors of PyTorch and arrays of NumPy, made of the records of a pickle.

A record says which function would make the tensor and with which arguments; here the
arguments are checked and the values are taken from a storage, without calling anything.
"""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from mst_jax.safe_pickle import PickledObject

# Class of a storage in the pickle -> dtype of its values.
STORAGE_DTYPES = {
    "torch.DoubleStorage": np.float64,
    "torch.FloatStorage": np.float32,
    "torch.HalfStorage": np.float16,
    "torch.BFloat16Storage": jnp.bfloat16,
    "torch.LongStorage": np.int64,
    "torch.IntStorage": np.int32,
    "torch.ShortStorage": np.int16,
    "torch.CharStorage": np.int8,
    "torch.ByteStorage": np.uint8,
    "torch.BoolStorage": np.bool_,
}

# Functions that wrap a tensor, their first argument, and that describe one.
_PARAMETER_TYPES = (
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
)
_TENSOR_TYPES = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")

# Functions of NumPy that make an array, the name of the package before version 2 or not.
_NUMPY_PACKAGES = ("numpy.core", "numpy._core")
_EMPTY_ARRAY_TYPES = tuple(f"{p}.multiarray._reconstruct" for p in _NUMPY_PACKAGES)
_BUFFER_ARRAY_TYPES = tuple(f"{p}.numeric._frombuffer" for p in _NUMPY_PACKAGES)

# Key of a storage -> its bytes.
ReadStorageFn = Callable[[str], bytes | memoryview]


def is_tensor_record(value: Any) -> bool:
    """Return whether a value of a pickle describes a tensor or an array."""
    return isinstance(value, PickledObject) and value.type_name in (
        *_PARAMETER_TYPES,
        *_TENSOR_TYPES,
        *_EMPTY_ARRAY_TYPES,
        *_BUFFER_ARRAY_TYPES,
    )


def make_array(value: Any, read_storage: ReadStorageFn, num_bytes: int) -> np.ndarray:
    """Make the array that a record describes.

    Args:
        value: Record of a parameter, a tensor or an array of NumPy.
        read_storage: Returns the bytes of a storage by its key.
        num_bytes: Size of the file; no array may be larger.

    Raises:
        Exception: Of any type; the record may hold anything.
    """
    if isinstance(value, PickledObject) and value.type_name in _PARAMETER_TYPES:
        value = value.arguments[0]
    if not isinstance(value, PickledObject):
        raise TypeError(f"a {type(value).__name__}")
    if value.type_name in _EMPTY_ARRAY_TYPES:
        _, shape, dtype, is_fortran, data = value.state
        return _numpy_array(data, dtype, shape, "F" if is_fortran else "C")
    if value.type_name in _BUFFER_ARRAY_TYPES:
        data, dtype, shape, order = value.arguments[:4]
        return _numpy_array(data, dtype, shape, order)
    if value.type_name not in _TENSOR_TYPES:
        raise TypeError(f"made by {value.type_name or 'nothing'}")
    return _torch_array(value, read_storage, num_bytes)


def _torch_array(
    record: PickledObject, read_storage: ReadStorageFn, num_bytes: int
) -> np.ndarray:
    """Make the array of a tensor: strides and offset in a storage."""
    storage_id, offset, shape, strides = record.arguments[:4]
    _, storage_type, key, _, _, *view = storage_id
    dtype = np.dtype(STORAGE_DTYPES[storage_type.type_name])
    # Files before version 0.4 have storages that are parts of others.
    if view and view[0] is not None:
        offset += view[0][1]
    # The array must lie inside its storage: as_strided checks nothing.
    for size in (offset, *shape, *strides):
        if type(size) is not int or size < 0:
            raise ValueError(f"a size, stride or offset is {size!r}")
    storage = np.frombuffer(read_storage(key), dtype)
    num_values = math.prod(shape)
    last_index = offset + sum(
        (size - 1) * stride for size, stride in zip(shape, strides, strict=True)
    )
    is_small = num_values * dtype.itemsize <= num_bytes
    if num_values and not (last_index < len(storage) and is_small):
        raise ValueError(f"shape {shape} exceeds its storage of {len(storage)} values")
    # A view of the storage; empty arrays may have any offset.
    return np.lib.stride_tricks.as_strided(
        storage[offset:] if num_values else storage[:0],
        shape,
        [stride * dtype.itemsize for stride in strides],
        writeable=False,
    )


def _numpy_array(data: Any, dtype: Any, shape: tuple, order: Any) -> np.ndarray:
    """Make an array of NumPy from its bytes."""
    # Protocols before 3 hold bytes as text: a record of a call of `_codecs.encode`.
    if isinstance(data, PickledObject):
        data = data.arguments[0] if data.arguments else b""
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise TypeError(f"an array of {type(data).__name__}")
    type_code = dtype.arguments[0]
    is_number = type_code[:1] in "biuf" and type_code[1:].isdecimal()
    if dtype.type_name != "numpy.dtype" or not is_number:
        raise TypeError(f"an array of dtype {type_code!r}")
    byte_order = dtype.state[1] if dtype.state else "="
    values_dtype = np.dtype(type_code).newbyteorder(
        byte_order if byte_order in ("<", ">") else "="
    )
    values = np.frombuffer(data, values_dtype)
    if math.prod(shape) != len(values):
        raise ValueError(f"shape {shape} for {len(values)} values")
    return values.reshape(shape, order=order)
