"""Pickles of numbers, lists, dicts and arrays, opened without running what is in them.

A pickle may name any function of any package to be called while it is opened. Here only
the names that plain containers and NumPy arrays need are known, and even those lead to
stand-ins: an array comes out as `PlainArray`, made of its bytes.
"""

from __future__ import annotations

import collections
import io
import pickle
import re
from collections.abc import Callable

import numpy as np

_KIND = re.compile(r"[<>=|]?(?:[biuf](?:1|2|4|8)|\?|O8?)")


class PlainArray:
    """An array that a pickle held; `value` is known once the pickle is open.

    Attributes:
        value: the array, or a list where it holds objects.
    """

    def __init__(self) -> None:
        self.value: np.ndarray | list = []

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, by_columns, data = state
        if isinstance(data, list):
            self.value = data
            return
        order = "F" if by_columns else "C"
        self.value = np.frombuffer(data, kind.dtype()).reshape(shape, order=order)


class _Kind:
    """The kind of an array's numbers, as a pickle spells it: `u1`, little-endian."""

    def __init__(self, code: str, *_: object) -> None:
        if not _KIND.fullmatch(code):
            raise ValueError(f"holds numbers of kind {code!r}, expected plain numbers")
        self._code, self._order = code, "="

    def __setstate__(self, state: tuple) -> None:
        self._order = state[1] if state[1] in ("<", ">") else "="

    def dtype(self) -> np.dtype:
        """The NumPy kind; ValueError for objects, which have no bytes."""
        if "O" in self._code:
            raise ValueError("holds objects as bytes, expected plain numbers")
        return np.dtype(self._code).newbyteorder(self._order)


def _start_array(*_: object) -> PlainArray:
    return PlainArray()


def _array_of_buffer(
    data: bytes | bytearray, kind: _Kind, shape: tuple, order: str, *_: object
) -> PlainArray:
    array = PlainArray()
    array.value = np.frombuffer(data, kind.dtype()).reshape(shape, order=order)
    return array


def _number(kind: _Kind, data: bytes) -> int | float | bool:
    return np.frombuffer(data, kind.dtype())[0].item()


def _old_bytes(text: str, code: str) -> bytes:
    """How bytes stand in pickles of the protocols before 3."""
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


_KNOWN: dict[tuple[str, str], Callable] = {
    ("_codecs", "encode"): _old_bytes,
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "dtype"): _Kind,
    ("numpy", "ndarray"): PlainArray,
}
for _core in ("numpy.core", "numpy._core"):
    _KNOWN[f"{_core}.multiarray", "_reconstruct"] = _start_array
    _KNOWN[f"{_core}.multiarray", "scalar"] = _number
    _KNOWN[f"{_core}.numeric", "_frombuffer"] = _array_of_buffer


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable:
        if (module, name) not in _KNOWN:
            raise ValueError(
                f"names {module}.{name}, which no list, number or array needs; it may "
                "do harm and was not opened"
            )
        return _KNOWN[module, name]


def open_pickle(data: bytes) -> object:
    """Opens a pickle of plain things.

    Returns:
        Dicts, lists, tuples, numbers, texts; arrays as `PlainArray`.

    Raises:
        ValueError: damaged, or it asks for anything else; says for what.
    """
    try:
        return _Reader(io.BytesIO(data)).load()
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # damage is met with errors of a dozen kinds
        raise ValueError(f"not a pickle that can be read ({error})") from error
