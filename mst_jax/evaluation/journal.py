"""What was evaluated so far, on disk, so that a killed evaluation may go on.

The first line says what was asked for, each further line holds one result, all in JSON.
A line counts when it is whole.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path


class Journal:
    """A file that grows by one whole line a result.

    Attributes:
        lines: the results, those of earlier processes included.
    """

    def __init__(self, path: Path, task: dict) -> None:
        """Opens the file, or begins it.

        Args:
            path: of the file; missing folders are made.
            task: what is asked for, plain values.

        Raises:
            ValueError: the file is of another task or no journal, or another process
                writes it.
        """
        task = json.loads(json.dumps(task))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.lines = self._read(task)
        except BlockingIOError:
            self._file.close()
            raise ValueError(
                f"{path} is being written by another process; wait for it"
            ) from None
        except ValueError:
            self._file.close()
            raise

    def append(self, line: dict) -> None:
        """Adds a result; it stays when the process is killed."""
        self._write(line)
        self.lines.append(line)

    def close(self) -> None:
        """Lets go of the file; without a result there is none."""
        if not self.lines:
            self._path.unlink()
        self._file.close()

    def _read(self, task: dict) -> list[dict]:
        """The results in the file, which afterwards holds whole lines only."""
        self._file.seek(0)
        whole = self._file.read().rpartition(b"\n")[0]
        if not whole:
            self._file.truncate(0)
            self._write(task)
            return []
        self._file.truncate(len(whole) + 1)
        try:
            first, *lines = map(json.loads, whole.split(b"\n"))
        except ValueError:
            raise ValueError(
                f"{self._path} holds something else; delete it or choose another --out"
            ) from None
        self._compare(first, task)
        return lines

    def _compare(self, first: dict, task: dict) -> None:
        """Raises ValueError unless the file was begun for the same task."""
        keys = [key for key in {**first, **task} if first.get(key) != task.get(key)]
        if keys:
            told = ", ".join(
                f"{key} {first.get(key)!r}, not {task.get(key)!r}" for key in keys
            )
            raise ValueError(
                f"{self._path} holds results of an unfinished evaluation with {told}; "
                "finish that one, start anew with --restart, or choose another --out"
            )

    def _write(self, line: dict) -> None:
        self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
