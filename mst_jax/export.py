r"""Export a model to a file that runs elsewhere: ONNX, StableHLO, or a click page.

python -m mst_jax.export mst-small mst-small.onnx --half
python -m mst_jax.export mst-small click.onnx --whole-click --half
python -m mst_jax.export runs/mine mine.stablehlo --dtype bfloat16
python -m mst_jax.export mst-small page --format web
"""

import argparse
import re
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mst_jax.atomic_io import check_writable
from mst_jax.command_line import (
    EXIT_INTERRUPTED,
    CommandParser,
    add_zoom_flags,
    zoom_changes,
)
from mst_jax.exporting.export_facts import ExportFacts, config_as_json
from mst_jax.exporting.exportable_model import (
    check_parameter_bytes,
    network_size,
    store_parameters_as_float16,
    with_half_parameters,
)
from mst_jax.exporting.exported_model import ONNX_SUFFIX, STABLEHLO_SUFFIX
from mst_jax.exporting.program_functions import (
    ExportableProgram,
    click_program,
    network_program,
)
from mst_jax.exporting.stablehlo_file import write_stablehlo_file
from mst_jax.interaction.inference_options import (
    INTERACTIVE_MAX_GROWTHS,
    ZoomOptions,
    interactive_zoom_of,
    override_zoom,
    zoom_options_of,
)
from mst_jax.models.load import load, with_compute_dtype
from mst_jax.models.trained_model import TrainedModel

FORMAT_OF_SUFFIX = {ONNX_SUFFIX: "onnx", STABLEHLO_SUFFIX: "stablehlo"}
"""Name of the format by the extension of the file."""

# Compute dtypes that a format can hold.
DTYPES = {
    "onnx": ("float32", "float16"),
    "stablehlo": ("float32", "bfloat16"),
    "web": ("float32",),
}


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
        parser.exit_with_error(error)
    except KeyboardInterrupt:
        parser.exit(EXIT_INTERRUPTED, "stopped; nothing was written\n")


def make_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m mst_jax.export",
        description="Export a model to a file that runs elsewhere, ONNX or StableHLO, or "
        "to a click page that needs no server.",
        epilog="docs/export.md shows programs that use the files; docs/web-page.md "
        "describes the click page.",
    )
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        help="mst-small, a training run, or any other checkpoint",
    )
    add(
        "out",
        metavar="OUT",
        type=Path,
        help="file to write: .onnx or .stablehlo; with --format web: a folder",
    )
    add(
        "--format",
        choices=tuple(DTYPES),
        help="web: static files of a click page; default: by the extension of OUT",
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
        help="store the parameters as float16 (half the size); they are converted to "
        "float32 when the file runs",
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
    check_out(options, file_format)
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
    # 4. The file, or the folder of the page.
    if file_format == "web":
        return write_page(options, program, facts)
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


def write_page(
    options: argparse.Namespace, program: ExportableProgram, facts: ExportFacts
) -> str:
    """Write the click page of a network; return one line about the folder.

    Args:
        options: Values of the flags.
        program: Network of the page.
        facts: Facts about it.
    """
    from mst_jax.exporting.onnx_file import write_onnx_file
    from mst_jax.exporting.web_page import write_web_page

    with tempfile.TemporaryDirectory() as folder:
        onnx_path = Path(folder, "network.onnx")
        write_onnx_file(onnx_path, program, facts)
        name = Path(options.model).name or options.model
        write_web_page(onnx_path, options.out, model_name=name, zoom=facts.zoom)
    num_bytes = sum(path.stat().st_size for path in options.out.rglob("*"))
    return (
        f"{options.out}: click page, {num_bytes / 1e6:.1f} MB; to open it: python -m "
        f"http.server --directory {shlex.quote(str(options.out))}"
    )


def check_out(options: argparse.Namespace, file_format: str) -> None:
    """Raise ValueError if the file or folder cannot be written, or flags contradict.

    Args:
        options: Values of the flags.
        file_format: Key of `DTYPES`.
    """
    if file_format != "web":
        check_writable(options.out)
        return
    # Imported here: StableHLO needs no package of the extra.
    from mst_jax.exporting.web_page import check_page_folder

    if options.whole_click or options.zoom == "none":
        flag = "--whole-click" if options.whole_click else "--zoom none"
        raise ValueError(
            f"{flag} is given, but the page crops the image itself and needs the network "
            "with its zoom; leave it out"
        )
    check_page_folder(options.out)


def choose_format(options: argparse.Namespace) -> str:
    """Return the format that the flags name.

    Args:
        options: Values of the flags.

    Raises:
        ValueError: Neither `--format` nor the extension names one, or they differ.
    """
    if options.format == "web":
        return "web"
    of_suffix = FORMAT_OF_SUFFIX.get(options.out.suffix)
    if of_suffix is None or options.format not in (None, of_suffix):
        suffixes = [
            suffix
            for suffix, name in FORMAT_OF_SUFFIX.items()
            if options.format in (None, name)
        ]
        raise ValueError(
            f"OUT is {options.out}, expected a file that ends in {' or '.join(suffixes)}, "
            "or --format web for a folder"
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
    # For a person who clicks; a loaded network gets its growths from its caller.
    is_interactive = options.whole_click or options.format == "web"
    trained = interactive_zoom_of(model) if is_interactive else zoom_options_of(model)
    return override_zoom(trained, **zoom_changes(options))


if __name__ == "__main__":
    main()
