"""Run a command by its name: `mst-jax train ...` or `python -m mst_jax train ...`.

`mst-jax NAME ...` does the same as `python -m mst_jax.NAME ...`.
"""

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

import mst_jax

COMMANDS = {
    "train": "train a model, or resume an interrupted run",
    "evaluate": "measure how many clicks a model needs on prepared datasets",
    "predict": "predict the mask of an object from clicks on an image",
    "prepare": "prepare a dataset from the files that its authors publish",
    "convert": "convert published PyTorch weights to checkpoints and back",
    "export": "export a model to ONNX or StableHLO files that run elsewhere",
    "serve": "serve the annotation web page and its REST API",
}
"""Description of each command; the command is the `main` of the module of that name."""

EXIT_BAD_INPUT = 2
"""Exit code of a wrong command line, as of argparse."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the first word names, with the words after it.

    Only the module of this command is imported.

    Args:
        argv: Words of the command line; None = those of the process.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if not words or words[0] in ("-h", "--help"):
        print(help_text())
    elif words[0] == "--version":
        print(f"mst_jax {mst_jax.__version__}")
    elif words[0] in COMMANDS:
        import_command(words[0]).main(words[1:])
    else:
        print(
            f"error: unknown command {words[0]!r}; expected one of "
            f"{', '.join(COMMANDS)}, --help or --version",
            file=sys.stderr,
        )
        sys.exit(EXIT_BAD_INPUT)


def import_command(name: str) -> ModuleType:
    """Import the module of a command.

    Args:
        name: Key of `COMMANDS`.

    Raises:
        SystemExit: The command needs a module that is not installed.
    """
    # Here, because `--help` imports no other module of the package.
    from mst_jax.extras import MissingExtraError, exit_with_error

    try:
        return importlib.import_module(f"mst_jax.{name}")
    except MissingExtraError as error:
        exit_with_error(str(error))


def help_text() -> str:
    """Return the usage and one line for each command."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(
        f"  {name:<{width}}  {description}" for name, description in COMMANDS.items()
    )
    return (
        "usage: mst-jax COMMAND ...\n"
        "       mst-jax --help | --version\n\n"
        "Click-based interactive segmentation in JAX.\n\n"
        f"commands:\n{commands}\n\n"
        "`mst-jax COMMAND --help` lists the flags of a command."
    )


if __name__ == "__main__":
    main()
