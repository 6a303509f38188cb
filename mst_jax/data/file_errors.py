"""Collect the errors of bad files over a whole dataset and report them in one list."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


class BadFileError(ValueError):
    """Report a file that cannot be used, where another file is being read.

    Attributes:
        path: Path of the bad file.
    """

    def __init__(self, path: str | Path, reason: str | Exception) -> None:
        super().__init__(str(reason))
        self.path = path


class ErrorCollector:
    """Collect what is wrong with which file while a dataset is read.

    Attributes:
        messages: "file: what is wrong", in the order found.
        skip_counts: What was left out although nothing is wrong with it, and how often.
        remark_counts: What was decided about files that were read, and how often.
    """

    def __init__(self, root: Path = Path()) -> None:
        self._root = root
        self.messages: list[str] = []
        self.skip_counts: Counter[str] = Counter()
        self.remark_counts: Counter[str] = Counter()

    def add_error(self, path: str | Path, reason: str | Exception) -> None:
        """Record that a file is left out, and why.

        Args:
            path: Path of the file; below the root it is shown relative to the root.
            reason: What is wrong with the file; line breaks become spaces.
        """
        if Path(path).is_relative_to(self._root):
            path = Path(path).relative_to(self._root)
        # One error is one line of the final list.
        self.messages.append(f"{path}: {' '.join(str(reason).split())}")

    def count_skipped(self, description: str, count: int = 1) -> None:
        """Count what is left out on purpose, such as slices without an object.

        Args:
            description: Plural noun that says what is left out.
            count: Number of items left out; 0 records nothing.
        """
        if count:
            self.skip_counts[description] += count

    def count_remark(self, remark: str) -> None:
        """Count a decision about a file that is read, such as a stretched bit depth.

        Args:
            remark: Plural noun for the files, a colon, and what was decided.
        """
        self.remark_counts[remark] += 1

    @contextlib.contextmanager
    def collect_errors(self, path: str | Path) -> Iterator[None]:
        """Record an error of the `with` block as the error of a file, and continue.

        Args:
            path: Path of the file that the block reads.
        """
        try:
            yield
        # The error knows a more precise path than the block.
        except BadFileError as error:
            self.add_error(error.path, error)
        except MemoryError:
            # A damaged header may claim a huge array.
            self.add_error(path, "does not fit into memory (or is damaged)")
        except FileNotFoundError as error:
            self.add_error(error.filename or path, "is missing")
        except (ValueError, OSError) as error:
            self.add_error(path, error)

    def raise_if_errors(self, *, skip_bad: bool, num_usable: int) -> None:
        """Raise the collected errors at the end of a dataset.

        Args:
            skip_bad: True leaves bad files out instead of failing.
            num_usable: Number of images that can be used.

        Raises:
            ValueError: There are bad files and `skip_bad` is False, or no image is left
                without them; the message lists every bad file.
        """
        if self.messages and not skip_bad:
            raise ValueError(
                f"{len(self.messages)} bad files, repair them or leave them out with "
                "--skip-bad:\n  " + "\n  ".join(self.messages)
            )
        # What was left out on purpose may be the reason.
        if not num_usable:
            skip_messages = [
                f"{skip_text}: {count}" for skip_text, count in self.skip_counts.items()
            ]
            all_reasons = self.messages + skip_messages
            raise ValueError("no image is left:\n  " + "\n  ".join(all_reasons))
