"""A session's folder on disk: what a restart of the server finds again."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from mst_jax.atomic_io import write_whole
from mst_jax.data.formats import images


class SessionFolder:
    """The picture, `state.json`, and numbered arrays.

    A state is written after the arrays that it names, so that it always can be read;
    arrays that no state names are removed.
    """

    def __init__(self, path: Path) -> None:
        """Takes the folder, there or not."""
        self.path = path
        self._state = path / "state.json"

    @property
    def exists(self) -> bool:
        """Does it hold a session?"""
        return self._state.exists()

    @property
    def used(self) -> float:
        """When it was used last, in seconds since 1970."""
        return self._state.stat().st_mtime

    def touch(self) -> None:
        """Notes that it is used now."""
        os.utime(self._state, (time.time(), time.time()))

    def write_picture(self, data: bytes) -> None:
        """Keeps the bytes of the picture."""
        write_whole(self.path / "picture", data)

    def read_picture(self) -> bytes:
        """The bytes of the picture."""
        return (self.path / "picture").read_bytes()

    def write_state(self, state: Mapping) -> None:
        """Keeps the state, in lieu of the one before."""
        write_whole(self._state, json.dumps(state).encode())

    def read_state(self) -> dict:
        """The state as it was written."""
        return json.loads(self._state.read_bytes())

    def write_patch(self, number: int, patch: Float[np.ndarray, "i j"]) -> None:
        """Keeps what the network said."""
        file = io.BytesIO()
        np.save(file, patch)
        write_whole(self._array(number), file.getvalue())

    def read_patch(self, number: int) -> Float[np.ndarray, "i j"]:
        """What the network said, bit by bit."""
        return np.load(self._array(number), allow_pickle=False)

    def write_mask(self, number: int, mask: Bool[np.ndarray, "h w"]) -> None:
        """Keeps a mask."""
        write_whole(self._array(number), images.encode_png(mask.astype(np.uint8)))

    def read_mask(self, number: int) -> Bool[np.ndarray, "h w"]:
        """A mask that was kept."""
        return images.decode_foreground(self._array(number).read_bytes())

    def forget(self, numbers: set[int]) -> None:
        """Removes arrays."""
        for number in numbers:
            self._array(number).unlink(missing_ok=True)

    def remove(self) -> None:
        """Removes all of it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _array(self, number: int) -> Path:
        return self.path / f"{number}.array"
