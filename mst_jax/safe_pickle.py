"""Pickles read without executing anything that they contain.

A pickle may name any function of any package to be called while it is opened. Neither
reader of this file calls one: `read_pickled_objects` turns every object into a record of
its class and arguments (configs of published `.pth` files), `read_pickled_arrays` knows
plain containers and NumPy arrays alone and refuses the rest (masks of datasets).
"""

import collections
import io
import pickle
import pickletools
import re
from collections.abc import Callable, Hashable
from typing import Any, Literal, NamedTuple

import numpy as np


class PickledObject(dict):
    """Record of an object in a pickle: what would have been called, without calling it.

    The items of a subclass of dict are the record's own items.

    Attributes:
        type_name: "module.name" of the class or function that the pickle calls.
        arguments: Positional arguments of that call.
        state: Attributes that the object would have received, None without any.
    """

    type_name = ""
    arguments: tuple
    state: Any
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]

    def __new__(cls, *arguments: object, **_: object) -> "PickledObject":
        """Store the arguments and call nothing."""
        pickled_object = super().__new__(cls)
        pickled_object.arguments, pickled_object.state = arguments, None
        return pickled_object

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        self.state = state

    def append(self, _: object) -> None:
        """Discard an element of a subclass of list or set: no checkpoint needs them."""

    add = extend = append


class _ObjectUnpickler(pickle.Unpickler):
    """Unpickler that imports nothing: each name becomes a new type of record.

    Attributes:
        persistent_ids: Persistent ids in the order in which they were read.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.persistent_ids: list[Hashable] = []

    def find_class(self, module_name: str, global_name: str) -> type[PickledObject]:
        type_name = f"{module_name}.{global_name}"
        return type("PickledObject", (PickledObject,), {"type_name": type_name})

    def persistent_load(self, pid: Hashable) -> Hashable:
        self.persistent_ids.append(pid)
        return pid


def read_pickled_objects(data: bytes) -> Any:
    """Read a pickle as plain values and records of its objects.

    Args:
        data: Content of the pickle, of any protocol.

    Returns:
        Numbers, strings, tuples, lists, dicts and `PickledObject`s. A persistent id is
        returned itself; what it stands for is left to the caller.

    Raises:
        ValueError: The data are not a pickle, or one that no program wrote.
    """
    return read_pickle_sequence(data, count=1).values[0]


class PickleSequence(NamedTuple):
    """Pickles that were read one after the other.

    Attributes:
        values: Value of each pickle, see `read_pickled_objects`.
        persistent_ids: Persistent ids of all of them, in order.
        num_bytes: Number of bytes that they take.
    """

    values: tuple
    persistent_ids: tuple[Hashable, ...]
    num_bytes: int


def read_pickle_sequence(data: bytes, *, count: int) -> PickleSequence:
    """Read several pickles that follow one another, as `read_pickled_objects` does.

    Args:
        data: Pickles of any protocol; more data may follow.
        count: Number of pickles.

    Raises:
        ValueError: The data are not pickles, or ones that no program wrote.
    """
    start, values, persistent_ids = 0, [], []
    try:
        for _ in range(count):
            pickle_bytes = data[start : _find_end(data, start)]
            unpickler = _ObjectUnpickler(pickle_bytes)
            values.append(unpickler.load())
            persistent_ids += unpickler.persistent_ids
            start += len(pickle_bytes)
    except Exception as error:  # a broken or hostile pickle raises errors of any type
        raise ValueError(
            f"its pickle cannot be read ({type(error).__name__}: {error})"
        ) from None
    return PickleSequence(tuple(values), tuple(persistent_ids), start)


def _find_end(data: bytes, start: int) -> int:
    """Return the position behind a pickle.

    Raises:
        ValueError: The pickle requests far more memory than it is long.
    """
    # `genops` finds arguments that claim to be longer than the rest of the data. What is
    # left is the memo's index: each entry takes an opcode, so there are fewer than bytes.
    file, last_position = io.BytesIO(data), start
    file.seek(start)
    for opcode, memo_index, position in pickletools.genops(file):
        if opcode.name.endswith("PUT") and (memo_index or 0) > len(data):
            raise ValueError(f"it remembers {memo_index} objects in {len(data)} bytes")
        last_position = position or 0
    return last_position + 1


class PickledArray:
    """Array of a pickle; `value` is known once the whole pickle is read.

    Attributes:
        value: The array, or a list if its elements are objects.
    """

    def __init__(self) -> None:
        self.value: np.ndarray | list = []

    def __setstate__(self, state: tuple) -> None:
        _, shape, pickled_dtype, is_fortran, data = state
        # NumPy pickles an array of objects as a list, all others as bytes.
        if isinstance(data, list):
            self.value = data
            return
        memory_order = "F" if is_fortran else "C"
        flat_values = np.frombuffer(data, pickled_dtype.to_numpy())
        self.value = flat_values.reshape(shape, order=memory_order)


class _PickledDtype:
    """Dtype of an array as a pickle spells it: a code such as "u1" and a byte order."""

    # Numbers and booleans of 1 to 8 bytes, and objects.
    ALLOWED_CODES = re.compile(r"[<>=|]?(?:[biuf](?:1|2|4|8)|\?|O8?)")

    def __init__(self, type_code: str, *_: object) -> None:
        if not self.ALLOWED_CODES.fullmatch(type_code):
            raise ValueError(
                f"holds values of dtype {type_code!r}, expected plain numbers"
            )
        self._type_code = type_code
        self._byte_order: Literal["<", ">", "="] = "="

    def __setstate__(self, state: tuple) -> None:
        self._byte_order = state[1] if state[1] in ("<", ">") else "="

    def to_numpy(self) -> np.dtype:
        """Return the NumPy dtype; raise ValueError for objects, which have no bytes."""
        if "O" in self._type_code:
            raise ValueError("holds objects as bytes, expected plain numbers")
        return np.dtype(self._type_code).newbyteorder(self._byte_order)


def _reconstruct_array(*_: object) -> PickledArray:
    return PickledArray()


def _array_from_buffer(
    data: bytes | bytearray,
    pickled_dtype: _PickledDtype,
    shape: tuple,
    memory_order: Any,
    *_: object,
) -> PickledArray:
    array = PickledArray()
    flat_values = np.frombuffer(data, pickled_dtype.to_numpy())
    array.value = flat_values.reshape(shape, order=memory_order)
    return array


def _scalar_from_bytes(pickled_dtype: _PickledDtype, data: bytes) -> int | float | bool:
    return np.frombuffer(data, pickled_dtype.to_numpy())[0].item()


def _latin1_bytes(text: str, _: str) -> bytes:
    """Return the bytes that protocols before 3 store as text."""
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


ALLOWED_GLOBALS: dict[tuple[str, str], Callable] = {
    ("_codecs", "encode"): _latin1_bytes,
    ("__builtin__", "bytes"): _empty_bytes,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "dtype"): _PickledDtype,
    ("numpy", "ndarray"): PickledArray,
}
"""(module, name) in an array pickle -> harmless function that stands for it."""

# NumPy 2 renamed its inner package; pickles of both versions are read.
for _package in ("numpy.core", "numpy._core"):
    ALLOWED_GLOBALS[f"{_package}.multiarray", "_reconstruct"] = _reconstruct_array
    ALLOWED_GLOBALS[f"{_package}.multiarray", "scalar"] = _scalar_from_bytes
    ALLOWED_GLOBALS[f"{_package}.numeric", "_frombuffer"] = _array_from_buffer


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that refuses every name outside `ALLOWED_GLOBALS`."""

    def find_class(self, module_name: str, global_name: str) -> Callable:
        if (module_name, global_name) not in ALLOWED_GLOBALS:
            raise ValueError(
                f"names {module_name}.{global_name}, which no list, number or array "
                "needs; it may do harm and was not opened"
            )
        return ALLOWED_GLOBALS[module_name, global_name]


def read_pickled_arrays(data: bytes) -> Any:
    """Read a pickle of plain containers, numbers and arrays.

    Args:
        data: Content of the pickle, of any protocol.

    Returns:
        Dicts, lists, tuples, numbers and strings; arrays as `PickledArray`.

    Raises:
        ValueError: The pickle is damaged, or it names anything else; the message says
            what.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(data)).load()
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # damage raises errors of a dozen types
        raise ValueError(f"not a pickle that can be read ({error})") from error
