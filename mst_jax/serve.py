r"""A trained model -> a web page to click on pictures.

python -m mst_jax.serve --folder photos --save masks
"""

import argparse
import contextlib
import dataclasses
import os
import socket
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import jax
import uvicorn
from fastapi import FastAPI

from mst_jax.annotation.app import SIZES, create_app
from mst_jax.annotation.files.image_folder import PictureFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.middleware import LOOPBACK
from mst_jax.annotation.serving.engine import Engine
from mst_jax.annotation.sessions.autosave import Saved
from mst_jax.annotation.sessions.registry import Sessions
from mst_jax.atomic_io import check_room
from mst_jax.interaction.inference_options import AS_TRAINED, read_zoom
from mst_jax.models.load import DEFAULT, load

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "mst_jax").expanduser()


def main(argv: Sequence[str] | None = None) -> None:
    """Serves what the command line names until it is stopped."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        check(options)
        with listen(options.host, options.port) as listening:
            serve(make_app(options), listening, options)
    except (ValueError, OSError) as error:
        parser.exit(2, f"serve: {error}\n")


def serve(app: FastAPI, listening: socket.socket, options: argparse.Namespace) -> None:
    """Answers at a socket until the program is stopped."""
    query = f"?token={options.token}" if options.token else ""
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(f"http://{host}:{options.port}/{query} (stop with Ctrl-C)", flush=True)
    cv2.utils.logging.setLogLevel(0)  # a line for every damaged picture
    if jax.config.jax_compilation_cache_dir is None:  # a second start takes seconds
        jax.config.update("jax_compilation_cache_dir", str(CACHE / "programs"))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mst_jax.serve", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add(
        "--checkpoint",
        default=DEFAULT,
        help=f"a run, or published weights; default: {DEFAULT}, the model in the box",
    )
    add("--folder", type=Path, metavar="DIR", help="pictures to offer")
    add("--save", type=Path, metavar="DIR", help="where finished masks of them go")
    add("--sessions", type=Path, default=CACHE / "sessions", help="what users do")
    add("--host", default="127.0.0.1", help="address to listen at; others need --token")
    add("--port", type=int, default=8000)
    add("--token", default=os.environ.get("MST_JAX_TOKEN"), help="or MST_JAX_TOKEN")
    add(
        "--zoom", metavar="N", default=AS_TRAINED, help="side the network sees, or none"
    )
    for name, help in (
        ("sessions", "pictures that may be open"),
        ("awake", "of them in memory at once"),
    ):
        add(f"--max-{name}", type=int, default=getattr(Limits, name), help=help)
    return parser


def check(options: argparse.Namespace) -> None:
    """Raises ValueError for what the command line must not ask for."""
    if options.host not in LOOPBACK and not options.token:
        raise ValueError(
            f"--host is {options.host}, which others can reach; give a --token too"
        )
    if options.save is not None and options.folder is None:
        raise ValueError("--save is where masks of --folder go; give both")
    for name in ("max_sessions", "max_awake"):
        value = getattr(options, name)
        if value < 1:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} is {value}, expected 1 or more")


def listen(host: str, port: int) -> socket.socket:
    """Takes the address now, so that a bad one is told before the model is loaded.

    Raises:
        ValueError: it is in use, or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"cannot listen at --host {host} --port {port}: {reason}; take another"
        ) from None


def make_app(options: argparse.Namespace) -> FastAPI:
    """Puts together what is served.

    Raises:
        ValueError: a bad checkpoint or folder.
    """
    limits = dataclasses.replace(
        Limits(), sessions=options.max_sessions, awake=options.max_awake
    )
    folder, saved, sizes = None, None, SIZES
    if options.folder is not None:
        folder = PictureFolder(options.folder, limits)
        # The sizes that most pictures have come first.
        sizes = Counter(found[1:] for found in folder.pictures()).most_common()
        sizes = [size for size, _ in sizes]
    if options.save is not None:
        check_room(options.save / "labels.png")
        saved = Saved(options.save, folder)
    engine = Engine(load(options.checkpoint), zoom=read_zoom(options.zoom))
    sessions = Sessions(options.sessions.expanduser(), engine, limits, saved)
    return create_app(
        engine,
        sessions,
        limits=limits,
        folder=folder,
        token=options.token,
        sizes=[size for size in sizes if engine.suits(*size)],
    )


if __name__ == "__main__":
    main()
