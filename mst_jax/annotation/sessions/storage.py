"""Store a session in a folder, from which a restarted server loads it again."""

import io
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mst_jax.annotation.errors import RequestRejected
from mst_jax.atomic_io import atomic_write
from mst_jax.data.formats import images, label_maps

STATE_FORMAT = 2
"""Version of the keys in `state.json`; sessions of another version are not opened."""


class SessionStorage:
    """A folder with the image, `state.json` and numbered arrays.

    The state is written after the arrays that it names, so that it can always be
    loaded. Arrays that no state names are deleted.
    """

    def __init__(self, path: Path) -> None:
        """Use a folder.

        Args:
            path: Folder of the session; it need not exist.
        """
        self._path = path
        self._state_path = path / "state.json"

    @property
    def exists(self) -> bool:
        """True if the folder holds a session."""
        return self._state_path.exists()

    @property
    def last_used(self) -> float:
        """Time of the last use in seconds since 1970."""
        return self._state_path.stat().st_mtime

    def mark_used(self) -> None:
        """Set the time of the last use to now."""
        # The modification time of the state needs no further file, and survives
        # restarts.
        os.utime(self._state_path, (time.time(), time.time()))

    def write_image(self, data: bytes) -> None:
        """Write the encoded image.

        Args:
            data: JPEG or PNG bytes.
        """
        atomic_write(self._path / "image", data)

    def read_image(self) -> bytes:
        """Return the encoded image."""
        return (self._path / "image").read_bytes()

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state.

        Args:
            state: JSON tree.
        """
        json_tree = {"format": STATE_FORMAT, **state}
        atomic_write(self._state_path, json.dumps(json_tree).encode())

    def read_state(self) -> dict[str, Any]:
        """Return the state as it was written.

        Raises:
            RequestRejected: Another version of the server wrote it (404).
        """
        state = json.loads(self._state_path.read_bytes())
        if state.pop("format", None) != STATE_FORMAT:
            raise RequestRejected(
                "another version of mst_jax has written this session; open the image "
                "again",
                404,
            )
        return state

    def write_prediction(self, array_id: int, prob: Float[np.ndarray, "i j"]) -> None:
        """Write a prediction of the network.

        Args:
            array_id: ID of the file.
            prob: [i j] probability of a region of interest.
        """
        # Through memory: `atomic_write` never leaves half a file.
        file = io.BytesIO()
        np.save(file, prob)
        atomic_write(self._array_path(array_id), file.getvalue())

    def read_prediction(self, array_id: int) -> Float[np.ndarray, "i j"]:
        """Return a prediction, bitwise identical to the one that was written.

        Args:
            array_id: ID of the file.
        """
        return np.load(self._array_path(array_id), allow_pickle=False)

    def write_mask(self, array_id: int, mask: Bool[np.ndarray, "h w"]) -> None:
        """Write a mask.

        Args:
            array_id: ID of the file.
            mask: [h w] object pixels.
        """
        atomic_write(
            self._array_path(array_id), images.encode_png(mask.astype(np.uint8))
        )

    def read_mask(self, array_id: int) -> Bool[np.ndarray, "h w"]:
        """Return a mask that was written.

        Args:
            array_id: ID of the file.
        """
        return label_maps.decode_binary_mask(self._array_path(array_id).read_bytes())

    def delete_arrays(self, array_ids: set[int]) -> None:
        """Delete predictions and masks; IDs without a file are ignored.

        Args:
            array_ids: IDs of the files.
        """
        # Files may be gone already: a server that was killed repeats this.
        for array_id in array_ids:
            self._array_path(array_id).unlink(missing_ok=True)

    def delete_folder(self) -> None:
        """Delete the folder with everything in it."""
        shutil.rmtree(self._path, ignore_errors=True)

    def _array_path(self, array_id: int) -> Path:
        return self._path / f"{array_id}.array"
