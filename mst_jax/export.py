r"""Export a model to a file that runs elsewhere: ONNX or StableHLO.

python -m mst_jax.export mst-small mst-small.onnx --half
python -m mst_jax.export mst-small click.onnx --whole-click --half
python -m mst_jax.export runs/mine mine.stablehlo --dtype bfloat16
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from mst_jax.atomic_io import check_writable
from mst_jax.command_line import CommandParser, add_zoom_flags
from mst_jax.exporting.export_facts import ExportFacts, config_as_json
from mst_jax.exporting.exportable_model import (
    check_parameter_bytes,
    network_size,
    store_parameters_as_float16,
    with_compute_dtype,
    with_half_parameters,
)
from mst_jax.exporting.exported_model import ONNX_SUFFIX, STABLEHLO_SUFFIX
from mst_jax.exporting.program_functions import click_program, network_program
from mst_jax.exporting.stablehlo_file import write_stablehlo_file
from mst_jax.interaction.inference_options import (
    INTERACTIVE_MAX_GROWTHS,
    ZoomOptions,
    interactive_zoom_of,
    override_zoom,
    zoom_options_of,
)
from mst_jax.models.load import load
from mst_jax.models.trained_model import TrainedModel

EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130
"""Exit codes of the command."""

FORMAT_OF_SUFFIX = {ONNX_SUFFIX: "onnx", STABLEHLO_SUFFIX: "stablehlo"}
"""Name of the format by the extension of the file."""

# Compute dtypes that a format can hold.
DTYPES = {"onnx": ("float32", "float16"), "stablehlo": ("float32", "bfloat16")}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and print one line about the file.

    Args:
        argv: Words of the command line; None = those of the process.
    """
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        print(export(options))
    except (ValueError, OSError) as error:
        parser.exit(EXIT_BAD_INPUT, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(EXIT_INTERRUPTED, "export: stopped; nothing was written\n")


def make_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m mst_jax.export",
        description="Export a model to a file that runs elsewhere: ONNX or StableHLO.",
        epilog="docs/export.md shows programs that use the files.",
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="mst-small, a run, or any other checkpoint")
    add("out", metavar="OUT", type=Path, help="file to write: .onnx or .stablehlo")
    add(
        "--format",
        choices=tuple(DTYPES),
        help="default: by the extension of OUT",
    )
    add(
        "--whole-click",
        action="store_true",
        help="export zoom, network and paste for images of any size, instead of the "
        "network alone",
    )
    add(
        "--size",
        metavar="HxW",
        type=parse_size,
        help="size in pixels of the images of a network without zoom",
    )
    add(
        "--dtype",
        default="float32",
        choices=("float32", "float16", "bfloat16"),
        help="compute dtype of the matrix products; default: float32",
    )
    add(
        "--half",
        action="store_true",
        help="store the parameters as float16, half the size; they are float32 again "
        "when the file runs",
    )
    add_zoom_flags(parser, max_growths=INTERACTIVE_MAX_GROWTHS)
    return parser


def parse_size(text: str) -> tuple[int, int]:
    """Parse the value of `--size`, such as 448x672.

    Raises:
        argparse.ArgumentTypeError: Any other text.
    """
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r}, expected height x width in pixels, such as 448x672"
        )
    return int(match[1]), int(match[2])


def export(options: argparse.Namespace) -> str:
    """Export a model and write the files.

    Args:
        options: Values of the flags, see `make_parser`.

    Returns:
        One line about the file.

    Raises:
        ValueError: A bad model, path or flag, or a model that the format cannot hold.
    """
    # 1. Everything that needs no model.
    file_format = choose_format(options)
    check_dtype(file_format, options.dtype)
    check_writable(options.out)
    # 2. The model, its zoom, and the size of its images.
    model = load(options.model)
    zoom = choose_zoom(options, model)
    size = network_size(zoom, options.size)
    check_parameter_bytes(model, half=options.half)
    compute_dtype = "bfloat16" if options.dtype == "bfloat16" else "float32"
    model = with_compute_dtype(model, compute_dtype)
    if options.half:
        model = with_half_parameters(model)
    # 3. The program.
    facts = ExportFacts(
        "click" if options.whole_click else "network",
        size,
        zoom,
        config_as_json(model.config),
    )
    is_half_stablehlo = options.half and file_format == "stablehlo"
    function = store_parameters_as_float16(model) if is_half_stablehlo else model
    program = (
        click_program(function, zoom)
        if options.whole_click
        else network_program(function, *size)
    )
    # 4. The file.
    if file_format == "stablehlo":
        write_stablehlo_file(options.out, program, facts)
    else:
        # Imported here: StableHLO needs no package of the extra.
        from mst_jax.exporting.onnx_file import write_onnx_file

        write_onnx_file(
            *(options.out, program, facts),
            half=options.half,
            half_products=options.dtype == "float16",
        )
    return f"{options.out}: {facts.kind}, {options.out.stat().st_size / 1e6:.1f} MB"


def choose_format(options: argparse.Namespace) -> str:
    """Return the format that the flags name.

    Args:
        options: Values of the flags.

    Raises:
        ValueError: Neither `--format` nor the extension names one, or they differ.
    """
    of_suffix = FORMAT_OF_SUFFIX.get(options.out.suffix)
    if of_suffix is None or options.format not in (None, of_suffix):
        suffixes = [
            suffix
            for suffix, name in FORMAT_OF_SUFFIX.items()
            if options.format in (None, name)
        ]
        raise ValueError(
            f"OUT is {options.out}, expected a file that ends in {' or '.join(suffixes)}"
        )
    return of_suffix


def check_dtype(file_format: str, dtype: str) -> None:
    """Raise ValueError if a format has no programs of a compute dtype.

    Args:
        file_format: Key of `DTYPES`.
        dtype: Value of `--dtype`.
    """
    if dtype not in DTYPES[file_format]:
        raise ValueError(
            f"--dtype is {dtype}, but {file_format} files are written as "
            f"{' or '.join(DTYPES[file_format])}"
        )


def choose_zoom(options: argparse.Namespace, model: TrainedModel) -> ZoomOptions:
    """Return the zoom that a model was trained for, changed by the flags.

    Args:
        options: Values of the flags.
        model: Model to export.
    """
    # A whole click is for a person; a loaded network gets its growths from its caller.
    trained = (
        interactive_zoom_of(model) if options.whole_click else zoom_options_of(model)
    )
    return override_zoom(
        trained,
        size=options.zoom,
        min_side=options.zoom_min_side,
        flip_tta=options.flip_tta,
        max_growths=options.zoom_max_growths,
    )


if __name__ == "__main__":
    main()
