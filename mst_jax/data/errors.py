"""Bad files, collected over a whole data set and reported in one list."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


class BadFile(ValueError):
    """A file that cannot be used, where it is not the one that was being read.

    Attributes:
        file: its path.
    """

    def __init__(self, file: object, reason: object) -> None:
        super().__init__(str(reason))
        self.file = file


class Faults:
    """Collects what is wrong with which file while a data set is read.

    Attributes:
        lines: "file: what is wrong", in the order found.
        remarks: what was left out although nothing is wrong with it, and how often.
    """

    def __init__(self, root: Path = Path()) -> None:
        self._root = root
        self.lines: list[str] = []
        self.remarks: Counter[str] = Counter()

    def add(self, file: object, reason: object) -> None:
        """Notes that a file is left out, and why; paths are shown from the root on."""
        if isinstance(file, str | Path) and Path(file).is_relative_to(self._root):
            file = Path(file).relative_to(self._root)
        self.lines.append(f"{file}: {' '.join(str(reason).split())}")

    def remark(self, what: str, count: int = 1) -> None:
        """Notes what is left out as it should be, such as slices without an object."""
        if count:
            self.remarks[what] += count

    @contextlib.contextmanager
    def caught(self, file: object) -> Iterator[None]:
        """Notes what goes wrong inside as the fault of `file`, and goes on after it."""
        try:
            yield
        except BadFile as error:
            self.add(error.file, error)
        except MemoryError:
            self.add(file, "does not fit into memory (or is damaged)")
        except FileNotFoundError as error:
            self.add(error.filename or file, "is missing")
        except (ValueError, OSError) as error:
            self.add(file, error)

    def settle(self, *, skip: bool, num_good: int) -> None:
        """Ends the reading of a data set.

        Raises:
            ValueError: there are bad files and they were not to be skipped, or nothing
                is left without them; lists every bad file.
        """
        if self.lines and not skip:
            raise ValueError(
                f"{len(self.lines)} bad files, repair them or leave them out with "
                "--skip-bad:\n  " + "\n  ".join(self.lines)
            )
        if not num_good:
            why = self.lines + [f"{text}: {n}" for text, n in self.remarks.items()]
            raise ValueError("no picture is left:\n  " + "\n  ".join(why))
