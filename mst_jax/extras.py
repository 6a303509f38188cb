"""Optional dependencies: a missing module is reported with the extra that installs it."""

import contextlib
import sys
from collections.abc import Iterator
from typing import NoReturn

PURPOSE_OF_EXTRA = {
    "data": "preparing and reading datasets",
    "train": "training and reports",
    "serve": "the annotation server",
    "notebook": "clicking in a notebook",
    "export": "exporting models",
}
"""What an extra of `pyproject.toml` is for, as it appears in the message."""

EXIT_BAD_INPUT = 2
"""Exit code of a command that cannot run as it was called, as of argparse."""


class MissingExtraError(ModuleNotFoundError):
    """A module of an extra of the package is not installed."""


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Report a module that the block cannot import, and the extra that installs it.

    In a command that Python started with `-m`, the report is a line `error: ...`, and the
    process ends.

    Args:
        extra: Key of `PURPOSE_OF_EXTRA`.

    Raises:
        MissingExtraError: A module that the block imports is not installed.
        SystemExit: The same, in a command.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        message = (
            f"{error.name} is not installed, but is required for "
            f"{PURPOSE_OF_EXTRA[extra]}: pip install 'mst_jax[{extra}]'"
        )
        if _is_command():
            exit_with_error(message)
        raise MissingExtraError(message, name=error.name) from None


def exit_with_error(message: str) -> NoReturn:
    """End the process with the line `error: ...`.

    Args:
        message: One sentence.
    """
    print(f"error: {message}", file=sys.stderr)
    sys.exit(EXIT_BAD_INPUT)


def _is_command() -> bool:
    """Return whether Python was started as `python -m mst_jax...`."""
    main_spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return main_spec is not None and main_spec.name.partition(".")[0] == "mst_jax"
