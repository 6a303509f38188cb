"""Parse the flags of the commands: `--data-dir` and `--data_dir` are the same flag."""

import argparse
import sys
from typing import Any, NoReturn

from mst_jax.name_choices import closest_names

EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130
"""Exit codes of the commands: wrong input, and Ctrl-C as shells report it."""


class CommandParser(argparse.ArgumentParser):
    """An argument parser that accepts underscores for the hyphens of its flags.

    Flags are declared with hyphens. Keys of a config (`--config.data.data_dir=...`) are
    not flags of the parser and stay unchanged.
    """

    def parse_known_args(self, args=None, namespace=None):
        """Parse the arguments; see `argparse.ArgumentParser.parse_known_args`.

        Args:
            args: Words of the command line; None = those of the process.
            namespace: Object that takes the values; None = a new one.
        """
        # Both `parse_args` and `parse_known_args` of the base class end here.
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args(
            [with_hyphens(word) for word in words], namespace
        )

    def parse_args(self, args=None, namespace=None):
        """Parse the arguments; an unknown one ends the program with the closest flag.

        Args:
            args: Words of the command line; None = those of the process.
            namespace: Object that takes the values; None = a new one.
        """
        values, unknown_words = self.parse_known_args(args, namespace)
        if unknown_words:
            # A flag and the word after it, which may be its value.
            word = unknown_words[0].partition("=")[0]
            self.error(
                f"unknown argument {word}, expected {', '.join(self.flag_names())}"
                f"{closest_names([word], self.flag_names())}"
            )
        return values

    def error(self, message: str) -> NoReturn:
        """End the program with the usage and the line `error: ...`.

        Args:
            message: One sentence about the command line.
        """
        self.print_usage(sys.stderr)
        self.exit_with_error(message)

    def exit_with_error(self, message: object) -> NoReturn:
        """End the program with the line `error: ...` and the exit code of wrong input.

        Args:
            message: Sentence, or an error that has one.
        """
        self.exit(EXIT_BAD_INPUT, f"error: {message}\n")

    def flag_names(self) -> list[str]:
        """Return the flags, such as "--data-dir"."""
        return [
            name
            for action in self._actions
            for name in action.option_strings
            if name.startswith("--")
        ]


def with_hyphens(argument: str) -> str:
    """Return a flag with hyphens for underscores; its value and other words unchanged.

    Args:
        argument: One word of the command line, such as `--data_dir=my_data`.
    """
    flag, equals, value = argument.partition("=")
    if not flag.startswith("--") or "." in flag:
        return argument
    return flag.replace("_", "-") + equals + value


def add_zoom_flags(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
    *,
    max_growths: int | None = None,
) -> None:
    """Add the flags of `interaction.inference_options.override_zoom` to a parser.

    They set `zoom` (text), `zoom_min_side` (pixels), `flip_tta` and `zoom_max_growths`;
    all are None if the user does not give them.

    Args:
        parser: Parser or group of flags to add them to.
        max_growths: Value without the flag `--zoom-max-growths`, for the help text; None
            = there is no such flag.
    """
    parser.add_argument(
        "--zoom",
        metavar="N",
        help="side in pixels of the crop that the network sees, or none; "
        "default: as trained",
    )
    parser.add_argument(
        "--zoom-min-side",
        metavar="N",
        type=int,
        help="minimum side in pixels of the region of interest; default: as trained",
    )
    parser.add_argument(
        "--flip-tta",
        action=argparse.BooleanOptionalAction,
        help="average with the prediction of the flipped crop; default: as trained",
    )
    if max_growths is not None:
        parser.add_argument(
            "--zoom-max-growths",
            metavar="N",
            type=int,
            help="maximum number of times that the region of interest grows and the "
            "network runs again after a click, because the mask is cut off at the "
            f"region's border; default: {max_growths}",
        )


def zoom_changes(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `override_zoom` that the flags of `add_zoom_flags` set.

    Args:
        options: Values of the flags of a command that has all of them.
    """
    return dict(
        size=options.zoom,
        min_side=options.zoom_min_side,
        flip_tta=options.flip_tta,
        max_growths=options.zoom_max_growths,
    )


def add_dtype_flag(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the flag `--dtype` of a command that predicts; without it the value is None.

    Args:
        parser: Parser or group of flags to add it to.
    """
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="compute dtype of the matrix products; default: as trained, but on a CPU "
        "the faster one: bfloat16 with AMX or AVX512-BF16, else float32",
    )
