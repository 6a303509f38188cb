r"""A trained model -> a web page to click on pictures.

python -m mst_jax.serve --checkpoint RUN --folder photos --save masks
"""

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from mst_jax.demo.engine import Engine
from mst_jax.demo.guard import LOOPBACK
from mst_jax.demo.limits import Limits
from mst_jax.demo.picture_folder import PictureFolder
from mst_jax.demo.saved import Saved
from mst_jax.demo.server import SIZES, create_app
from mst_jax.demo.sessions import Sessions
from mst_jax.interaction.view import AS_TRAINED, read_zoom
from mst_jax.models.load import load

SESSIONS = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "mst_jax/sessions")


def main(argv: Sequence[str] | None = None) -> None:
    """Serves what the command line names until it is stopped."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        server = make_server(options)
    except (ValueError, OSError) as error:
        parser.exit(2, f"serve: {error}\n")
    print(f"http://{options.host}:{options.port}/ (stop with Ctrl-C)", flush=True)
    server.run()


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mst_jax.serve", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--checkpoint", required=True, type=Path, help="a run, or published weights")
    add("--folder", type=Path, metavar="DIR", help="pictures to offer")
    add("--save", type=Path, metavar="DIR", help="where finished masks of them go")
    add("--sessions", type=Path, default=SESSIONS, help="folder of what users do")
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


def make_server(options: argparse.Namespace) -> uvicorn.Server:
    """The server, not yet started.

    Raises:
        ValueError: a bad checkpoint, an address that needs a token.
    """
    if options.host not in LOOPBACK and not options.token:
        raise ValueError(
            f"--host is {options.host}, which others can reach; give a --token too"
        )
    limits = dataclasses.replace(
        Limits(), sessions=options.max_sessions, awake=options.max_awake
    )
    engine = Engine(load(options.checkpoint), zoom=read_zoom(options.zoom))
    folder, saved, sizes = None, None, SIZES
    if options.folder is not None:
        folder = PictureFolder(options.folder, limits)
        sizes = [found[1:] for found in folder.list()]
    if options.save is not None:
        if folder is None:
            raise ValueError("--save is where masks of --folder go; give both")
        saved = Saved(options.save, folder)
    sessions = Sessions(options.sessions.expanduser(), engine, limits, saved)
    sizes = [size for size in sizes if engine.suits(*size)]
    app = create_app(
        engine,
        sessions,
        limits=limits,
        folder=folder,
        token=options.token,
        sizes=sizes,
    )
    config = uvicorn.Config(
        app, host=options.host, port=options.port, log_level="warning"
    )
    return uvicorn.Server(config)


if __name__ == "__main__":
    main()
