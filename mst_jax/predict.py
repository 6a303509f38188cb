r"""Predict the mask of an object from clicks on an image, and write it to a file.

python -m mst_jax.predict cat.jpg --positive 120,80 --negative 10,10 --out mask.png \
  --overlay overlay.jpg

Many images in one call: docs/own-images.md has the columns of the table.

python -m mst_jax.predict photos --clicks clicks.csv --out masks --overlay overlays
"""

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from mst_jax.atomic_io import atomic_write, check_writable
from mst_jax.command_line import (
    EXIT_INTERRUPTED,
    CommandParser,
    add_dtype_flag,
    add_zoom_flags,
    zoom_changes,
)
from mst_jax.compilation_cache import add_cache_flag, enable_compilation_cache
from mst_jax.data.formats import images
from mst_jax.exporting.exported_model import load_model
from mst_jax.inference import overlay
from mst_jax.inference.click_session import Click
from mst_jax.inference.click_table import read_click_table, repeat_clicks
from mst_jax.inference.many_images import (
    check_output_files,
    describe_mask,
    describe_masks,
    predict_images,
)
from mst_jax.inference.predictor import Predictor
from mst_jax.inference.selected_tokens import draw_token_boxes
from mst_jax.interaction.inference_options import (
    INTERACTIVE_MAX_GROWTHS,
    interactive_zoom_of,
    override_zoom,
)
from mst_jax.models.load import DEFAULT_MODEL

ENCODERS: dict[str, Callable[[UInt8[np.ndarray, "h w *c"]], bytes]] = {
    ".png": images.encode_png,
    ".jpg": images.encode_jpeg,
    ".jpeg": images.encode_jpeg,
}
"""Encoder of each file name extension that can be written."""


class ClickFlag(NamedTuple):
    """A click as text of the command line."""

    is_positive: bool
    text: str


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and print one line about the mask.

    Args:
        argv: Words of the command line; None = those of the process.
    """
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        enable_compilation_cache(options.compilation_cache)
        print(predict(options))
    except (ValueError, OSError) as error:
        parser.exit_with_error(error)
    except KeyboardInterrupt:
        parser.exit(EXIT_INTERRUPTED, "stopped\n")


def make_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m mst_jax.predict",
        description="Predict the mask of an object from clicks on an image.",
        epilog="Clicks are applied in the order in which the flags are given.",
    )
    add = parser.add_argument
    add(
        "image",
        type=Path,
        nargs="?",
        help="an image (JPEG, PNG, BMP, TIFF or WebP), or a folder of images",
    )
    add(
        "--clicks",
        type=Path,
        dest="click_file",
        metavar="FILE",
        help="CSV file of clicks on many images: image, row, column, positive, object; "
        "the images are in the given folder of images, or in the folder of FILE",
    )
    add(
        "--checkpoint",
        default=DEFAULT_MODEL,
        help="a training run, a converted model, published weights or an exported file; "
        f"default: {DEFAULT_MODEL}, the bundled model",
    )
    for name, where in (
        ("positive", "on the object"),
        ("negative", "not on the object"),
    ):
        add(
            f"--{name}",
            metavar="ROW,COL",
            dest="clicks",
            action="append",
            type=functools.partial(ClickFlag, name == "positive"),
            help=f"click {where}, in pixels from the upper left corner; may be repeated",
        )
    add(
        "--out",
        required=True,
        type=Path,
        help="mask to write: PNG, 0 and 255; a folder for many images",
    )
    add(
        "--overlay",
        type=Path,
        help="image with mask and clicks: PNG or JPEG; a folder for many images",
    )
    add(
        "--tokens",
        type=Path,
        help="image with the tokens of the last token selection: PNG or JPEG",
    )
    add_zoom_flags(parser, max_growths=INTERACTIVE_MAX_GROWTHS)
    add_dtype_flag(parser)
    add_cache_flag(parser)
    return parser


def predict(options: argparse.Namespace) -> str:
    """Predict the mask and write the files; missing folders are created.

    Args:
        options: Values of the flags, see `make_parser`.

    Returns:
        One line about the mask.

    Raises:
        ValueError: An unreadable image, a click outside it, a bad checkpoint or path.
    """
    if options.click_file is not None or (options.image and options.image.is_dir()):
        return predict_many(options)
    # 1. Check everything that needs no model first: loading and compiling are slow.
    if options.image is None:
        raise ValueError("no image given; name one, or a folder, or --clicks FILE")
    clicks = [parse_click(flag) for flag in options.clicks or ()]
    if not any(click.is_positive for click in clicks):
        raise ValueError("no click on the object; give at least one --positive ROW,COL")
    check_outputs(options)
    image = open_image(options.image)
    # 2. Predict.
    model = load_model(options.checkpoint, dtype=options.dtype)
    zoom = override_zoom(interactive_zoom_of(model), **zoom_changes(options))
    predictor = Predictor(model, zoom=zoom)
    predictor.set_image(image)
    for click in clicks:
        predictor.click(click.row, click.column, click.is_positive)
    # 3. Encode all files before the first is written, so that an error leaves none.
    mask = predictor.mask
    files = {options.out: images.encode_png(mask * np.uint8(255))}
    if options.overlay:
        drawn = overlay.draw_overlay(image, mask, predictor.clicks)
        files[options.overlay] = ENCODERS[options.overlay.suffix.lower()](drawn)
    if options.tokens:
        *_, (fine, coarse) = predictor.selected_tokens()
        drawn = draw_token_boxes(image, fine, coarse)
        drawn = overlay.draw_overlay(drawn, np.zeros_like(mask), predictor.clicks)
        files[options.tokens] = ENCODERS[options.tokens.suffix.lower()](drawn)
    for path, data in files.items():
        atomic_write(path, data)
    return f"{options.out}: {describe_mask(mask)}"


def predict_many(options: argparse.Namespace) -> str:
    """Predict the masks of many images and write the files.

    Args:
        options: Values of the flags, see `make_parser`.

    Returns:
        One line about the masks.

    Raises:
        ValueError: Wrong flags, images or rows of the table; the message names all.
    """
    # 1. Check everything that needs no model first, as for one image.
    if options.tokens:
        raise ValueError("--tokens draws one image; leave it out for many images")
    if options.out.suffix:
        raise ValueError(f"--out is {options.out}, expected a folder for many images")
    flag_clicks = [parse_click(flag) for flag in options.clicks or ()]
    if options.click_file is None:
        if not flag_clicks:
            raise ValueError(
                f"{options.image} is a folder; give --clicks FILE, or --positive ROW,COL "
                "for the same click on each of its images"
            )
        all_clicks = repeat_clicks(flag_clicks, options.image)
    else:
        image_folder = options.image or options.click_file.parent
        if flag_clicks or not image_folder.is_dir():
            raise ValueError(
                f"--clicks {options.click_file} needs the folder of its images and no "
                f"further clicks, got {image_folder} and {len(flag_clicks)} of them"
            )
        all_clicks = read_click_table(options.click_file, image_folder)
    check_output_files(all_clicks, options.out, options.overlay)
    for image_clicks in all_clicks:
        print_remarks(image_clicks.path, image_clicks.remarks)
    # 2. Predict and write.
    model = load_model(options.checkpoint, dtype=options.dtype)
    empty_masks = predict_images(
        model,
        override_zoom(interactive_zoom_of(model), **zoom_changes(options)),
        all_clicks,
        out_dir=options.out,
        overlay_dir=options.overlay,
    )
    return f"{options.out}: {describe_masks(all_clicks, empty_masks)}"


def parse_click(flag: ClickFlag) -> Click:
    """Parse the text ROW,COL of a click.

    Raises:
        ValueError: Any other text.
    """
    row, _, column = flag.text.partition(",")
    try:
        return Click(float(row), float(column), flag.is_positive)
    except ValueError:
        name = "--positive" if flag.is_positive else "--negative"
        raise ValueError(
            f"{name} is {flag.text!r}, expected ROW,COL such as 120,80"
        ) from None


def open_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read an image as upright 8-bit RGB, and print remarks about the file to stderr.

    Raises:
        ValueError: The file cannot be read or is not an image.
    """
    try:
        encoded_image = images.read_image(path, page=1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected an image such as JPEG") from None
    print_remarks(path, encoded_image.remarks)
    return images.decode_image(encoded_image.data)


def print_remarks(path: Path, remarks: Sequence[str]) -> None:
    """Print to stderr how an unusual image was read."""
    for remark in remarks:
        print(f"remark: {path}: {remark}", file=sys.stderr)


def check_outputs(options: argparse.Namespace) -> None:
    """Check that all output files can be written and are different.

    Raises:
        ValueError: A wrong extension, a path that cannot be written, or a repeated path.
    """
    if options.out.suffix.lower() != ".png":
        raise ValueError(f"--out is {options.out}, expected a name that ends in .png")
    outputs = [options.out]
    for name in ("overlay", "tokens"):
        path = getattr(options, name)
        if path is None:
            continue
        if path.suffix.lower() not in ENCODERS:
            raise ValueError(
                f"--{name} is {path}, expected a name that ends in {', '.join(ENCODERS)}"
            )
        outputs.append(path)
    for path in outputs:
        check_writable(path)
    if len({path.resolve() for path in (options.image, *outputs)}) <= len(outputs):
        raise ValueError("image, --out, --overlay and --tokens must be different files")


if __name__ == "__main__":
    main()
