"""The command line of the annotation server."""

import argparse
import os
from pathlib import Path

from mst_jax.annotation.limits import Limits
from mst_jax.annotation.middleware import LOOPBACK_HOSTS
from mst_jax.command_line import CommandParser, add_dtype_flag, add_zoom_flags
from mst_jax.compilation_cache import CACHE_DIR, add_cache_flag
from mst_jax.interaction.inference_options import INTERACTIVE_MAX_GROWTHS
from mst_jax.models.load import DEFAULT_MODEL


def make_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m mst_jax.serve",
        description="Serve the annotation web page and its REST API for a model.",
    )
    parser.add_argument(
        "--checkpoint",
        default=DEFAULT_MODEL,
        help="a training run, a converted model, published weights or an exported file; "
        f"default: {DEFAULT_MODEL}, the bundled model",
    )
    add_zoom_flags(parser, max_growths=INTERACTIVE_MAX_GROWTHS)
    add_dtype_flag(parser)
    _add_file_flags(parser)
    _add_network_flags(parser)
    _add_limit_flags(parser)
    add_cache_flag(parser)
    return parser


def _add_file_flags(parser: CommandParser) -> None:
    """Add the flags of the folders and files that the server reads and writes."""
    add_flag = parser.add_argument
    add_flag("--folder", type=Path, metavar="DIR", help="folder of images to annotate")
    add_flag(
        "--save",
        type=Path,
        metavar="DIR",
        help="output folder for the finished masks of --folder",
    )
    add_flag(
        "--labels",
        type=Path,
        metavar="FILE",
        help="text file with one label per line, from which users choose; default: users "
        "add labels themselves",
    )
    add_flag(
        "--export",
        type=Path,
        metavar="FILE",
        help="write the finished objects of all images to FILE and exit: COCO for .json, "
        "label maps for .zip",
    )
    add_flag(
        "--sessions",
        type=Path,
        metavar="DIR",
        help="folder of the database with all work; default: .mst_jax in the folder of "
        f"--save, or {CACHE_DIR / 'sessions'} without --save",
    )


def _add_network_flags(parser: CommandParser) -> None:
    """Add the flags of the address and of access to it."""
    add_flag = parser.add_argument
    add_flag(
        "--host",
        default="127.0.0.1",
        help="address to listen on; default: %(default)s; one that other machines can "
        "reach requires --token",
    )
    add_flag("--port", type=int, default=8000, help="port number; default: %(default)s")
    add_flag(
        "--token",
        default=os.environ.get("MST_JAX_TOKEN"),
        help="token that every request must carry; default: MST_JAX_TOKEN",
    )
    add_flag(
        "--public-host",
        action="append",
        default=[],
        metavar="NAME",
        help="host name under which a TLS proxy serves this server; may be repeated",
    )


def _add_limit_flags(parser: CommandParser) -> None:
    """Add the flags that bound images, memory and the age of uploads."""
    add_flag = parser.add_argument
    add_flag(
        "--max-sessions",
        type=int,
        default=Limits.max_sessions,
        help="maximum number of uploaded images; default: %(default)s",
    )
    add_flag(
        "--max-megapixels",
        type=float,
        default=Limits.max_pixels / 1e6,
        help="maximum size of an image in megapixels; default: %(default)g",
    )
    add_flag(
        "--max-memory",
        type=float,
        metavar="GIB",
        default=Limits.max_image_bytes / 2**30,
        help="memory for the images of sessions in use, in GiB; default: %(default)g",
    )
    add_flag(
        "--expire-days",
        type=float,
        metavar="DAYS",
        help="delete uploaded images without finished objects that were not changed for "
        "DAYS days; default: never",
    )


def check_flags(flags: argparse.Namespace) -> None:
    """Check combinations and ranges of flags.

    Args:
        flags: Flags of the command line.

    Raises:
        ValueError: Flags that must not be given so.
    """
    if flags.export is not None and flags.export.suffix not in (".json", ".zip"):
        raise ValueError(f"--export is {flags.export}, expected FILE.json or FILE.zip")
    if flags.host not in LOOPBACK_HOSTS and not flags.token:
        raise ValueError(
            f"--host is {flags.host}, which other machines can reach; also give a --token"
        )
    if flags.save is not None and flags.folder is None and flags.export is None:
        raise ValueError("--save is for the masks of --folder; give both")
    if flags.save is not None and flags.folder is not None:
        check_separate(flags.folder, flags.save)
    # `Limits` checks this too, but names its fields, not the flags.
    minima = {"max_sessions": 1, "max_megapixels": 0.001, "max_memory": 0.001}
    for name, minimum in {**minima, "expire_days": 0.001}.items():
        flag_value = getattr(flags, name)
        if flag_value is not None and not minimum <= flag_value < 1e9:
            flag_name = name.replace("_", "-")
            raise ValueError(
                f"--{flag_name} is {flag_value}, expected {minimum} or more"
            )


def check_separate(image_dir: Path, output_dir: Path) -> None:
    """Check that output files can never replace images.

    Args:
        image_dir: Folder of images.
        output_dir: Folder of output files; it need not exist.

    Raises:
        ValueError: One folder is or contains the other.
    """
    # Links are followed, so that another name of the same folder is recognized.
    images, outputs = image_dir.resolve(), output_dir.resolve()
    if images.is_relative_to(outputs) or outputs.is_relative_to(images):
        raise ValueError(
            f"--save {output_dir} and --folder {image_dir} must be separate folders, "
            "none inside the other; choose another --save"
        )


def limits_of(flags: argparse.Namespace) -> Limits:
    """Return the limits of the server.

    Args:
        flags: Flags of the command line.
    """
    expiry_days = flags.expire_days
    return Limits(
        max_sessions=flags.max_sessions,
        max_pixels=int(flags.max_megapixels * 1e6),
        max_image_bytes=int(flags.max_memory * 2**30),
        expiry_seconds=None if expiry_days is None else 86_400 * expiry_days,
    )


def find_state_dir(flags: argparse.Namespace) -> Path:
    """Return the folder of the database.

    Args:
        flags: Flags of the command line.
    """
    if flags.sessions is not None:
        return flags.sessions.expanduser()
    # Beside the output files, so that a folder and its work move together.
    return flags.save / ".mst_jax" if flags.save is not None else CACHE_DIR / "sessions"
