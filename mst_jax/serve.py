r"""Serve the annotation web page and its REST API for a trained model.

python -m mst_jax.serve --folder photos --save masks
"""

import argparse
import contextlib
import socket
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import cv2

from mst_jax.annotation.app import DEFAULT_SIZES, create_app
from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.http_protocol import TimeoutProtocol
from mst_jax.annotation.server_flags import (
    check_flags,
    find_state_dir,
    limits_of,
    make_parser,
)
from mst_jax.annotation.serving.engine import ImageSize, InferenceEngine
from mst_jax.annotation.sessions.folder_export import write_folder_export
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.annotation.sessions.save_folder import SaveFolder
from mst_jax.annotation.store.database import DATABASE_NAME, Database
from mst_jax.annotation.store.labels import LabelList, read_label_file
from mst_jax.atomic_io import check_writable
from mst_jax.command_line import EXIT_INTERRUPTED
from mst_jax.compilation_cache import enable_compilation_cache
from mst_jax.exporting.exported_model import load_model
from mst_jax.extras import needs_extra
from mst_jax.interaction.inference_options import (
    interactive_zoom_of,
    override_zoom,
)

with needs_extra("serve"):
    import uvicorn
    from fastapi import FastAPI

NUM_MEASURED = 100
"""Number of images of a folder whose sizes are compiled for at start."""


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until the command is stopped.

    Args:
        argv: Arguments of the command line; None = those of the process.
    """
    parser = make_parser()
    flags = parser.parse_args(argv)
    try:
        check_flags(flags)
        if flags.export is not None:
            export_annotations(flags)
            return
        # The second start takes seconds.
        enable_compilation_cache(flags.compilation_cache)
        with open_socket(flags.host, flags.port) as server_socket:
            run_server(build_app(flags), server_socket, flags)
    except RequestRejected as error:  # the database cannot be written
        parser.exit_with_error(error.detail)
    except (ValueError, OSError) as error:
        parser.exit_with_error(error)
    except KeyboardInterrupt:  # before the server runs
        parser.exit(EXIT_INTERRUPTED, "stopped\n")


def export_annotations(flags: argparse.Namespace) -> None:
    """Write the finished objects of the folder to the file of `--export`.

    Args:
        flags: Flags of the command line.

    Raises:
        ValueError: There is no database, or a server uses it.
    """
    state_dir = find_state_dir(flags)
    if not (state_dir / DATABASE_NAME).exists():
        raise ValueError(
            f"{state_dir} has no {DATABASE_NAME}; give the --save or --sessions of the "
            "server"
        )
    check_writable(flags.export)
    database = Database(state_dir)
    export_format = "labels" if flags.export.suffix == ".zip" else "coco"
    # Written beside the target first, so that no half file is left behind.
    with tempfile.NamedTemporaryFile(dir=flags.export.parent, delete=False) as file:
        try:
            write_folder_export(file, database, LabelList(database), export_format)
            Path(file.name).replace(flags.export)
        finally:
            Path(file.name).unlink(missing_ok=True)
            database.close()
    print(f"wrote {flags.export}")


def run_server(
    app: FastAPI, server_socket: socket.socket, flags: argparse.Namespace
) -> None:
    """Answer requests until the process is stopped.

    Args:
        app: Application to serve.
        server_socket: Bound socket.
        flags: Flags of the command line.
    """
    token_query = f"?token={quote(flags.token, safe='')}" if flags.token else ""
    url_host = f"[{flags.host}]" if ":" in flags.host else flags.host
    print(
        f"http://{url_host}:{flags.port}/{token_query} (stop with Ctrl-C)", flush=True
    )
    # OpenCV prints a line for every damaged image; users send many.
    cv2.utils.logging.setLogLevel(0)  # pyright: ignore[reportAttributeAccessIssue]
    uvicorn_server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", http=TimeoutProtocol)
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn_server.run(sockets=[server_socket])


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
    limits = limits_of(flags)
    # 1. The folder; the most frequent sizes of its images are compiled first.
    image_folder, sizes = None, list(DEFAULT_SIZES)
    if flags.folder is not None:
        image_folder = ImageFolder(flags.folder, limits)
        sizes = find_frequent_sizes(image_folder)
    # 2. The database, also that of an earlier server.
    database = Database(find_state_dir(flags))
    save_folder = None
    if flags.save is not None:
        check_writable(flags.save / "labels.png")
        save_folder = SaveFolder(flags.save, database)
    # 3. The model; flags take precedence over the options it was trained for.
    model = load_model(flags.checkpoint, dtype=flags.dtype)
    zoom = override_zoom(
        interactive_zoom_of(model),
        size=flags.zoom,
        min_side=flags.zoom_min_side,
        flip_tta=flags.flip_tta,
        max_growths=flags.zoom_max_growths,
    )
    engine = InferenceEngine(model, zoom=zoom)
    registry = SessionRegistry(
        database,
        engine,
        limits,
        image_folder=image_folder,
        save_folder=save_folder,
        fixed_labels=read_label_file(flags.labels) if flags.labels else None,
    )
    return create_app(
        engine,
        registry,
        limits=limits,
        image_folder=image_folder,
        save_folder=save_folder,
        token=flags.token,
        public_hosts=flags.public_host,
        sizes=[size for size in sizes if engine.accepts_size(*size)],
    )


def find_frequent_sizes(image_folder: ImageFolder) -> list[ImageSize]:
    """Return the sizes of some images of a folder, the most frequent first.

    Args:
        image_folder: Folder of the images.
    """
    size_counts: Counter[ImageSize] = Counter()
    names = sorted(image_folder.list_files())
    # A sample: to measure all images of a large folder would take too long.
    for name in names[:: max(1, len(names) // NUM_MEASURED)]:
        with contextlib.suppress(RequestRejected, OSError):  # no image
            size_counts[image_folder.measure(name)] += 1
    return [size for size, _ in size_counts.most_common()]


if __name__ == "__main__":
    main()
