r"""Clicks on a picture -> the object's mask, as a file.

python -m mst_jax.predict cat.jpg --positive 120,80 --negative 10,10 --out mask.png \
  --overlay overlay.jpg
"""

import argparse
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from mst_jax.atomic_io import check_room, write_whole
from mst_jax.data.formats import images
from mst_jax.inference import overlay
from mst_jax.inference.click_session import Click
from mst_jax.inference.predictor import Predictor
from mst_jax.inference.selected_tokens import draw_cells
from mst_jax.interaction.inference_options import AS_TRAINED, read_zoom
from mst_jax.models.load import DEFAULT, load

STOPPED = 130
ENCODERS: dict[str, Callable[[UInt8[np.ndarray, "h w *c"]], bytes]] = {
    ".png": images.encode_png,
    ".jpg": images.encode_jpeg,
    ".jpeg": images.encode_jpeg,
}


class Given(NamedTuple):
    """A click as it stands on the command line."""

    is_positive: bool
    text: str


def main(argv: Sequence[str] | None = None) -> None:
    """Segments the picture that the command line names and prints what was found."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        print(predict(options))
    except (ValueError, OSError) as error:
        parser.exit(2, f"predict: {error}\n")
    except KeyboardInterrupt:
        parser.exit(STOPPED, "predict: stopped\n")


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mst_jax.predict",
        description="Clicks on a picture become the object's mask.",
        epilog="Clicks count in the order given, positive and negative mixed.",
    )
    add = parser.add_argument
    add("picture", type=Path, help="JPEG, PNG, BMP, TIFF or WebP")
    add(
        "--checkpoint",
        default=DEFAULT,
        help=f"a run, or published weights; default: {DEFAULT}, the model in the box",
    )
    for name, where in (("positive", "on the object"), ("negative", "not on it")):
        add(
            f"--{name}",
            metavar="ROW,COL",
            dest="clicks",
            action="append",
            type=functools.partial(Given, name == "positive"),
            help=f"click {where}, in pixels from the upper left corner; may be repeated",
        )
    add("--out", required=True, type=Path, help="mask to write: PNG, 0 and 255")
    add("--overlay", type=Path, help="picture with mask and clicks: PNG or JPEG")
    add("--tokens", type=Path, help="picture with the tokens that were chosen last")
    add(
        "--zoom",
        metavar="N",
        default=AS_TRAINED,
        help="side the network sees, or none; default: as trained",
    )
    add(
        "--no-mirror",
        dest="mirror",
        action="store_const",
        const=False,
        default=AS_TRAINED,
        help="do not look at the mirror picture too",
    )
    return parser


def predict(options: argparse.Namespace) -> str:
    """Writes mask and pictures; missing folders are made. Returns a line of text.

    Raises:
        ValueError: a picture that is none, a click outside it, a bad checkpoint or path.
    """
    clicks = [open_click(given) for given in options.clicks or ()]
    if not any(click.is_positive for click in clicks):
        raise ValueError("no click on the object; give at least one --positive ROW,COL")
    check_outputs(options)
    image = open_picture(options.picture)
    model = load(options.checkpoint)
    zoom = read_zoom(options.zoom)
    predictor = Predictor(model, zoom=zoom, mirror=options.mirror)
    predictor.set_image(image)
    for click in clicks:
        mask = predictor.click(click.row, click.column, click.is_positive)
    files = {options.out: images.encode_png(mask * np.uint8(255))}
    if options.overlay:
        drawn = overlay.draw(image, mask, predictor.clicks)
        files[options.overlay] = ENCODERS[options.overlay.suffix.lower()](drawn)
    if options.tokens:
        *_, last = predictor.chosen()
        drawn = draw_cells(image, *last)
        drawn = overlay.draw(drawn, np.zeros_like(mask), predictor.clicks)
        files[options.tokens] = ENCODERS[options.tokens.suffix.lower()](drawn)
    for place, data in files.items():
        write_whole(place, data)
    return f"{options.out}: {describe(mask)}"


def open_click(given: Given) -> Click:
    """Reads ROW,COL; ValueError for anything else."""
    row, _, column = given.text.partition(",")
    try:
        return Click(float(row), float(column), given.is_positive)
    except ValueError:
        name = "--positive" if given.is_positive else "--negative"
        raise ValueError(
            f"{name} is {given.text!r}, expected ROW,COL such as 120,80"
        ) from None


def open_picture(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Reads a picture as 8-bit RGB, turned as its EXIF says; ValueError says what not."""
    try:
        return images.decode_picture(images.read_picture(path).data)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected a picture such as JPEG") from None


def check_outputs(options: argparse.Namespace) -> None:
    """Raises ValueError unless what was asked for can be written where it shall be."""
    if options.out.suffix.lower() != ".png":
        raise ValueError(f"--out is {options.out}, expected a name that ends in .png")
    places = [options.out]
    for name in ("overlay", "tokens"):
        place = getattr(options, name)
        if place is None:
            continue
        if place.suffix.lower() not in ENCODERS:
            raise ValueError(
                f"--{name} is {place}, expected a name that ends in {', '.join(ENCODERS)}"
            )
        places.append(place)
    for place in places:
        check_room(place)
    if len({place.resolve() for place in (options.picture, *places)}) <= len(places):
        raise ValueError(
            "picture, --out, --overlay and --tokens must be different files"
        )


def describe(mask: Bool[np.ndarray, "h w"]) -> str:
    """What was found, in a few words."""
    height, width = mask.shape
    if not mask.any():
        return f"nothing found in {height} rows, {width} columns; add a click"
    row, column = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    return (
        f"{mask.mean():.1%} of the picture, rows {row[0]} to {row[-1]}, "
        f"columns {column[0]} to {column[-1]}"
    )


if __name__ == "__main__":
    main()
