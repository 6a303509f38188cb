r"""Serve the annotation web page and its REST API for a trained model.

python -m mst_jax.serve --folder photos --save masks
"""

import argparse
import contextlib
import os
import socket
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2

from mst_jax.annotation.app import DEFAULT_SIZES, create_app
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.middleware import LOOPBACK_HOSTS
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.sessions.autosave import Autosave
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.atomic_io import check_writable
from mst_jax.command_line import CommandParser, add_zoom_flags
from mst_jax.compilation_cache import (
    CACHE_DIR,
    add_cache_flag,
    enable_compilation_cache,
)
from mst_jax.extras import needs_extra
from mst_jax.interaction.inference_options import override_zoom, zoom_options_of
from mst_jax.models.load import DEFAULT_MODEL, load

with needs_extra("serve"):
    import uvicorn
    from fastapi import FastAPI


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until the command is stopped.

    Args:
        argv: Arguments of the command line; None = those of the process.
    """
    parser = make_parser()
    flags = parser.parse_args(argv)
    try:
        check_flags(flags)
        # The second start takes seconds.
        enable_compilation_cache(flags.compilation_cache)
        with open_socket(flags.host, flags.port) as server_socket:
            run_server(build_app(flags), server_socket, flags)
    except (ValueError, OSError) as error:
        parser.exit(2, f"serve: {error}\n")


def run_server(
    app: FastAPI, server_socket: socket.socket, flags: argparse.Namespace
) -> None:
    """Answer requests until the process is stopped.

    Args:
        app: Application to serve.
        server_socket: Bound socket.
        flags: Flags of the command line.
    """
    token_query = f"?token={flags.token}" if flags.token else ""
    url_host = f"[{flags.host}]" if ":" in flags.host else flags.host
    print(
        f"http://{url_host}:{flags.port}/{token_query} (stop with Ctrl-C)", flush=True
    )
    # OpenCV prints a line for every damaged image; users send many.
    cv2.utils.logging.setLogLevel(0)  # pyright: ignore[reportAttributeAccessIssue]
    uvicorn_server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn_server.run(sockets=[server_socket])


def make_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m mst_jax.serve",
        description="Serve the annotation web page and its REST API for a model.",
    )
    add_flag = parser.add_argument
    # Model.
    add_flag(
        "--checkpoint",
        default=DEFAULT_MODEL,
        help="training run or published weights; default: the bundled model "
        f"{DEFAULT_MODEL}",
    )
    add_zoom_flags(parser)
    # Files.
    add_flag("--folder", type=Path, metavar="DIR", help="folder of images to offer")
    add_flag(
        "--save", type=Path, metavar="DIR", help="output folder of their finished masks"
    )
    add_flag(
        "--sessions",
        type=Path,
        metavar="DIR",
        default=CACHE_DIR / "sessions",
        help="folder of the sessions; default: %(default)s",
    )
    # Network and limits.
    add_flag(
        "--host", default="127.0.0.1", help="address to bind to; others need --token"
    )
    add_flag("--port", type=int, default=8000, help="default: %(default)s")
    add_flag(
        "--token",
        default=os.environ.get("MST_JAX_TOKEN"),
        help="token that every request must carry; default: MST_JAX_TOKEN",
    )
    add_flag(
        "--max-sessions",
        type=int,
        default=Limits.max_sessions,
        help="maximum number of sessions; default: %(default)s",
    )
    add_flag(
        "--max-in-memory",
        type=int,
        default=Limits.max_in_memory,
        help="maximum number of sessions in memory; default: %(default)s",
    )
    add_cache_flag(parser)
    return parser


def check_flags(flags: argparse.Namespace) -> None:
    """Check combinations and ranges of flags.

    Args:
        flags: Flags of the command line.

    Raises:
        ValueError: Flags that must not be given so.
    """
    if flags.host not in LOOPBACK_HOSTS and not flags.token:
        raise ValueError(
            f"--host is {flags.host}, which others can reach; give a --token too"
        )
    if flags.save is not None and flags.folder is None:
        raise ValueError("--save is the output of --folder; give both")
    # `Limits` checks this too, but names its fields, not the flags.
    for name in ("max_sessions", "max_in_memory"):
        flag_value = getattr(flags, name)
        if flag_value < 1:
            flag_name = name.replace("_", "-")
            raise ValueError(f"--{flag_name} is {flag_value}, expected 1 or more")


def open_socket(host: str, port: int) -> socket.socket:
    """Bind to the address, before the model is loaded for nothing.

    Args:
        host: Address to bind to, IPv4, IPv6 or a name.
        port: Port number.

    Raises:
        ValueError: The address is in use, or does not belong to this machine.
    """
    address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=address_family)
    except (OSError, OverflowError) as error:
        error_reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"cannot listen at --host {host} --port {port}: {error_reason}; "
            "choose another"
        ) from None


def build_app(flags: argparse.Namespace) -> FastAPI:
    """Build the application from the flags.

    Args:
        flags: Flags of the command line.

    Raises:
        ValueError: A checkpoint, a folder or a zoom option is invalid.
    """
    limits = Limits(max_sessions=flags.max_sessions, max_in_memory=flags.max_in_memory)
    # 1. The folder; the most frequent sizes of its images are compiled first.
    image_folder, autosave, sizes = None, None, list(DEFAULT_SIZES)
    if flags.folder is not None:
        image_folder = ImageFolder(flags.folder, limits)
        size_counts = Counter(
            (image.height, image.width) for image in image_folder.list_images()
        )
        sizes = [size for size, _ in size_counts.most_common()]
        if flags.save is not None:
            check_writable(flags.save / "labels.png")
            autosave = Autosave(flags.save, image_folder)
    # 2. The model; flags take precedence over the options it was trained for.
    model = load(flags.checkpoint)
    zoom = override_zoom(
        zoom_options_of(model),
        size=flags.zoom,
        min_side=flags.zoom_min_side,
        flip_tta=flags.flip_tta,
    )
    engine = InferenceEngine(model, zoom=zoom)
    # 3. The sessions, also those of an earlier server.
    sessions_dir = flags.sessions.expanduser()
    registry = SessionRegistry(sessions_dir, engine, limits, autosave)
    return create_app(
        engine,
        registry,
        limits=limits,
        image_folder=image_folder,
        token=flags.token,
        sizes=[size for size in sizes if engine.accepts_size(*size)],
    )


if __name__ == "__main__":
    main()
