"""Bad files, collected over a whole data set and reported in one list."""

from __future__ import annotations


class Faults:
    """Collects what is wrong with which file while a data set is read.

    Attributes:
        lines: "file: what is wrong", in the order found.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, file: object, reason: object) -> None:
        """Notes that a file is left out, and why."""
        self.lines.append(f"{file}: {reason}")

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
            raise ValueError("no picture is left:\n  " + "\n  ".join(self.lines))
