"""Keep track of the compiled programs: which are requested, which are ready."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

CompileFn = Callable[[], None]
"""Compiles a program by running it once; JAX caches the result."""


class ProgramCache:
    """Compiles each named program once, whoever asks first.

    Thread-safe: a background thread compiles while requests compile what they need.

    Attributes:
        compiled: Names of the compiled programs, in the order of their completion.
    """

    def __init__(self) -> None:
        self.compiled: list[str] = []
        self._requested: set[str] = set()
        # One lock per program: others can be compiled at the same time.
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @property
    def num_pending(self) -> int:
        """Number of requested programs that are not compiled yet."""
        return self.progress()[1]

    def progress(self) -> tuple[list[str], int]:
        """Return the names of the compiled programs, and the number of pending ones."""
        # One copy for both, so that a program that is finished in between is counted
        # once.
        compiled = list(self.compiled)
        return compiled, len(self._requested - set(compiled))

    def request(self, program_names: Iterable[str]) -> None:
        """Count programs as pending until they are compiled.

        Args:
            program_names: Names of the programs.
        """
        self._requested.update(program_names)

    def are_compiled(self, program_names: Iterable[str]) -> bool:
        """Return True if all programs are compiled.

        Args:
            program_names: Names of the programs.
        """
        return set(program_names) <= set(self.compiled)

    def compile_all(self, programs: Mapping[str, CompileFn]) -> None:
        """Compile the programs that are not compiled yet; wait for those in progress.

        Args:
            programs: Name of each program -> the function that compiles it.
        """
        for name, compile_program in programs.items():
            with self._locks[name]:
                # Another thread may have compiled it while this one waited.
                if name not in self.compiled:
                    compile_program()
                    self.compiled.append(name)
