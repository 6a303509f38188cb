"""Log the sessions of an evaluation on disk, so that a killed evaluation can resume.

The file is JSON lines: the first line holds the settings of the evaluation, each further
line one result. A line without its newline was cut off and does not count.
"""

import dataclasses
import fcntl
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from mst_jax.clicks.next_click import MASK_THRESHOLD
from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation.metrics import boundary_iou
from mst_jax.evaluation.simulation import SimulatedSession


@dataclasses.dataclass(frozen=True)
class SessionRecord:
    """The part of a session that is stored as JSON.

    Attributes:
        id: Name of the object within its dataset.
        ious: [t] IoU after each click, 0 to 1.
        clicks: [t 3] row, column and 1 = positive or 0 = negative.
        seconds: Seconds that the session took, without compilation.
        area_fraction: Area of the object relative to the image's, 0 to 1.
        boundary_iou: Boundary IoU of the last mask, 0 to 1.
        seed: Index of the simulated user, from 0.
    """

    id: str
    ious: Float[np.ndarray, " t"]
    clicks: Int[np.ndarray, "t 3"]
    seconds: float
    area_fraction: float
    boundary_iou: float
    seed: int = 0

    @classmethod
    def from_session(
        cls, target: EvaluationTarget, session: SimulatedSession, *, seed: int = 0
    ) -> "SessionRecord":
        """Create the record of a session.

        Args:
            target: Object of the session.
            session: The session; its last mask is reduced to the boundary IoU.
            seed: Index of the simulated user.
        """
        mask = session.prob > MASK_THRESHOLD
        return cls(
            id=target.id,
            ious=session.ious,
            clicks=session.clicks,
            seconds=session.seconds * len(session.ious),
            area_fraction=float(target.target.mean()),
            boundary_iou=boundary_iou(mask, target.target, target.valid),
            seed=seed,
        )

    def to_json(self) -> dict[str, Any]:
        """Return strings, numbers and lists only; nothing is rounded."""
        # float64 holds every float32 exactly, and JSON writes it with all digits.
        ious = np.asarray(self.ious, np.float64).tolist()
        return vars(self) | {"ious": ious, "clicks": np.asarray(self.clicks).tolist()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SessionRecord":
        """Return the record that `to_json` was called on.

        Args:
            values: Result of `to_json`.
        """
        array_fields = {
            "ious": np.array(values["ious"]),
            "clicks": np.array(values["clicks"]),
        }
        return cls(**{**values, **array_fields})


class ResultsLog:
    """A file of JSON lines that grows by one complete line for each result.

    Attributes:
        results: All results in the file, those of earlier processes included.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Open the file, or create it.

        Args:
            path: Path of the file; missing folders are created.
            settings: What the results depend on; JSON values.

        Raises:
            ValueError: The file belongs to other settings or is not a results log, or
                another process is writing it.
        """
        # Tuples become lists, as they will be when the file is read again.
        json_settings = json.loads(json.dumps(settings))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("a+b")
        try:
            # The system releases the lock when the process ends, however it ends.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.results = self._read_results(json_settings)
        except BlockingIOError:
            self._file.close()
            raise ValueError(
                f"{path} is being written by another process; wait for it"
            ) from None
        except ValueError:
            self._file.close()
            raise

    def append(self, result: dict[str, Any]) -> None:
        """Add a result; it survives when the process is killed.

        Args:
            result: JSON values.
        """
        self._write_line(result)
        self.results.append(result)

    def close(self) -> None:
        """Close the file; delete it if it has no result."""
        if not self.results:
            self._path.unlink()
        self._file.close()

    def _read_results(self, settings: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the results in the file and truncate it to complete lines."""
        self._file.seek(0)
        complete_lines = self._file.read().rpartition(b"\n")[0]
        # A new file, or one whose first line was cut off: start it again.
        if not complete_lines:
            self._file.truncate(0)
            self._write_line(settings)
            return []
        # Drop a line that was cut off, so that the next one starts on a new line.
        self._file.truncate(len(complete_lines) + 1)
        try:
            stored_settings, *results = map(json.loads, complete_lines.split(b"\n"))
        except ValueError:
            raise ValueError(
                f"{self._path} is not a results log; delete it or choose another --out"
            ) from None
        self._check_settings(stored_settings, settings)
        return results

    def _check_settings(
        self, stored_settings: dict[str, Any], requested_settings: dict[str, Any]
    ) -> None:
        """Raise ValueError unless the file was created for the same settings."""
        # Keys of both, in a stable order: either may have a key that the other lacks.
        setting_names = {**stored_settings, **requested_settings}
        differing_keys = [
            key
            for key in setting_names
            if stored_settings.get(key) != requested_settings.get(key)
        ]
        if differing_keys:
            differences = ", ".join(
                f"{key} {stored_settings.get(key)!r}, not {requested_settings.get(key)!r}"
                for key in differing_keys
            )
            raise ValueError(
                f"{self._path} holds results of an unfinished evaluation with "
                f"{differences}; finish that evaluation, start again with --restart, or "
                "choose another --out"
            )

    def _write_line(self, values: dict[str, Any]) -> None:
        """Write one line to the disk before returning."""
        self._file.write(json.dumps(values, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def params_checksum(params: Mapping[str, Any]) -> str:
    """Return a checksum of a model's parameters: other parameters have another one.

    Args:
        params: Tree of arrays.
    """
    checksum = 0
    for leaf in jax.tree.leaves(params):
        checksum = zlib.crc32(np.ascontiguousarray(leaf).data, checksum)
    return f"{checksum:08x}"
