"""The FastAPI application: routes, error handlers, middleware and background work."""

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from mst_jax.annotation.api import (
    folder_routes,
    image_routes,
    object_routes,
    session_routes,
)
from mst_jax.annotation.api.schemas import (
    AboutResponse,
    LimitsResponse,
)
from mst_jax.annotation.errors import (
    ERROR_DESCRIPTIONS,
    ErrorResponse,
    add_error_handlers,
)
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.middleware import SecurityMiddleware
from mst_jax.annotation.serving.engine import ImageSize, InferenceEngine
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.annotation.sessions.save_folder import SaveFolder
from mst_jax.annotation.store.image_index import ImageIndex

STATIC_DIR = Path(__file__).parent / "static"
DEFAULT_SIZES = ((480, 640), (640, 480), (1080, 1920), (1200, 1600))
"""Heights and widths of images whose programs are compiled at start."""

_EXPIRY_INTERVAL = 60.0  # seconds between two deletions of expired sessions


def create_app(
    engine: InferenceEngine,
    registry: SessionRegistry,
    *,
    limits: Limits,
    image_folder: ImageFolder | None = None,
    save_folder: SaveFolder | None = None,
    token: str | None = None,
    public_hosts: Sequence[str] = (),
    sizes: Sequence[ImageSize] = DEFAULT_SIZES,
) -> FastAPI:
    """Build the application.

    Args:
        engine: Model of the server.
        registry: Sessions of the server.
        limits: Maximum sizes and counts.
        image_folder: Images that the server offers; None = uploads only.
        save_folder: Output files of the images of the folder; None = none.
        token: Token that every request must carry; None = serve this machine only.
        public_hosts: Host names under which a proxy serves the app.
        sizes: Heights and widths of images to compile for at start.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Requested here, not in the thread: /api/about must never report "ready" before
        # the thread has begun.
        engine.request_sizes(*sizes)
        threading.Thread(target=engine.compile_sizes, args=sizes, daemon=True).start()
        registry.exporter.start()
        expiry_task = asyncio.create_task(_remove_expired_sessions(registry))
        yield
        expiry_task.cancel()
        # Waits until all finished work is exported.
        await asyncio.to_thread(registry.exporter.close)

    app = FastAPI(
        title="mst_jax",
        summary="Click on an object in an image, get its mask.",
        version=_package_version(),
        lifespan=lifespan,
        docs_url=None,  # both pages load scripts from other servers
        redoc_url=None,
        responses={
            status: {"model": ErrorResponse, "description": description}
            for status, description in ERROR_DESCRIPTIONS.items()
        },
    )
    # The routes find these by `request.app.state`.
    app.state.engine, app.state.registry = engine, registry
    app.state.image_folder, app.state.limits = image_folder, limits
    app.state.saves_to_folder = save_folder is not None
    if image_folder is not None:
        find_annotated = save_folder.find_annotated if save_folder else None
        app.state.image_index = ImageIndex(
            registry.database, image_folder, find_annotated
        )
        app.state.image_index.request_scan()
    for routes in (session_routes, object_routes, image_routes, folder_routes):
        app.include_router(routes.router)
    app.add_api_route("/api/about", read_about, tags=["server"])
    app.add_api_route("/", read_page, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC_DIR))
    add_error_handlers(app)
    app.add_middleware(
        SecurityMiddleware, limits=limits, token=token, public_hosts=public_hosts
    )
    return app


def read_about(request: Request) -> AboutResponse:
    """Return the model, the limits and the progress of compiling."""
    state = request.app.state
    compiled_programs, num_pending = state.engine.programs.progress()
    return AboutResponse(
        model=state.engine.model_name,
        version=request.app.version,
        has_token_selection=state.engine.has_token_selection,
        has_image_folder=state.image_folder is not None,
        saves_to_folder=state.saves_to_folder,
        limits=LimitsResponse(**dataclasses.asdict(state.limits)),
        ready=num_pending == 0,
        compiled_programs=compiled_programs,
        num_pending_programs=num_pending,
    )


def read_page() -> FileResponse:
    """Return the web page."""
    return FileResponse(STATIC_DIR / "index.html")


def _package_version() -> str:
    try:
        return version("mst_jax")
    except PackageNotFoundError:
        return "not installed"


async def _remove_expired_sessions(registry: SessionRegistry) -> None:
    while True:
        # In a thread: deleting files would block the event loop.
        await asyncio.to_thread(registry.remove_expired)
        await asyncio.sleep(_EXPIRY_INTERVAL)
