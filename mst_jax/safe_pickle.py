"""Pickles read without running anything: whatever they name becomes an inert record."""

import io
import pickle
import pickletools
from collections.abc import Hashable


class Record(dict):
    """An object of a pickle: what it was to be made of, and nothing made of it.

    The items of a subclass of dict are the record's own items.

    Attributes:
        name: "module.name" of the class or function that was called.
        arguments: what it was called with.
        state: what the object's attributes were to become, None without any.
    """

    name = ""
    __hash__ = object.__hash__

    def __new__(cls, *arguments: object, **_: object) -> "Record":
        """Keeps the arguments, calls nothing."""
        record = super().__new__(cls)
        record.arguments, record.state = arguments, None
        return record

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        self.state = state

    def append(self, _: object) -> None:
        """Swallows an element of a subclass of list or set: no checkpoint needs them."""

    add = extend = append


class _Reader(pickle.Unpickler):
    """Finds no class and no function: each name is a new kind of record."""

    def find_class(self, module: str, name: str) -> type[Record]:
        return type("Record", (Record,), {"name": f"{module}.{name}"})

    def persistent_load(self, pid: Hashable) -> Hashable:
        return pid


def read_records(data: bytes) -> object:
    """Reads a pickle; only numbers, texts, tuples, lists, dicts and records come out.

    What a persistent id stands for is left to the caller: the id itself comes out.

    Raises:
        ValueError: it is no pickle, or one that no program wrote.
    """
    try:
        _check_memory(data)
        return _Reader(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a broken or hostile pickle fails in any way it likes
        raise ValueError(
            f"its pickle cannot be read ({type(error).__name__}: {error})"
        ) from None


def _check_memory(data: bytes) -> None:
    """Raises ValueError if the pickle asks for far more memory than it is long.

    `genops` finds what claims to be longer than the rest. What is left is a place in the
    list of remembered objects: each takes an opcode, so they are fewer than the bytes.
    """
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name.endswith("PUT") and argument > len(data):
            raise ValueError(f"it remembers {argument} objects in {len(data)} bytes")
