"""The server: its addresses, its errors, and what it does beside answering."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import mst_jax.annotation.api.schemas as say
from mst_jax.annotation.api import image_routes, object_routes, session_routes
from mst_jax.annotation.files.image_folder import PictureFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.middleware import Guard
from mst_jax.annotation.serving.engine import Engine
from mst_jax.annotation.sessions.registry import Sessions

STATIC = Path(__file__).parent / "static"
SIZES = ((480, 640), (640, 480), (1080, 1920), (1200, 1600))
"""Heights and widths of pictures whose programs are compiled at start."""

_SWEEP = 60.0  # seconds from one look for expired sessions to the next
_ERRORS = {
    400: "What was asked for cannot be.",
    401: "A token is needed.",
    403: "Another origin, or another name of this machine.",
    404: "There is none.",
    413: "Too large.",
    415: "Not a picture, or another content type.",
    422: "The body or a parameter is not understood.",
    429: "Too many sessions, or too many requests at once.",
}


def create_app(
    engine: Engine,
    sessions: Sessions,
    *,
    limits: Limits,
    folder: PictureFolder | None = None,
    token: str | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> FastAPI:
    """Puts the server together.

    Args:
        engine: the model.
        sessions: of this server and of the one before.
        limits: what is refused.
        folder: of pictures that are offered.
        token: that each request must bring; None: this machine alone is served.
        sizes: heights and widths of pictures to compile for.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine.expect(*sizes)
        threading.Thread(target=engine.compile, args=sizes, daemon=True).start()
        sweeping = asyncio.create_task(_sweep(sessions))
        yield
        sweeping.cancel()

    app = FastAPI(
        title="mst_jax",
        summary="Click on an object in a picture, get its mask.",
        version=_version(),
        lifespan=lifespan,
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        responses={
            status: {"model": say.Error, "description": text}
            for status, text in _ERRORS.items()
        },
    )
    app.state.engine, app.state.sessions = engine, sessions
    app.state.folder, app.state.limits = folder, limits
    app.include_router(session_routes.router)
    app.include_router(object_routes.router)
    app.include_router(image_routes.router)
    app.add_api_route("/api/about", about, tags=["server"])
    app.add_api_route("/", page, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_body)
    app.add_exception_handler(ClientDisconnect, _refuse_nobody)
    app.add_exception_handler(Exception, _confess)
    app.add_middleware(Guard, limits=limits, token=token)
    return app


def about(request: Request) -> say.About:
    """What the server is, and how far it is with compiling."""
    state = request.app.state
    compiled = list(state.engine.compiled)
    return say.About(
        model=state.engine.name,
        version=request.app.version,
        has_tokens=state.engine.has_tokens,
        folder=state.folder is not None,
        limits=vars(state.limits),
        ready=not state.engine.missing,
        compiled=compiled,
        to_compile=state.engine.missing,
    )


def page() -> FileResponse:
    """The page."""
    return FileResponse(STATIC / "index.html")


def _version() -> str:
    try:
        return version("mst_jax")
    except PackageNotFoundError:
        return "not installed"


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.to_thread(sessions.sweep)
        await asyncio.sleep(_SWEEP)


async def _refuse(request: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse(
        {"error": str(error.detail)}, error.status_code, headers=error.headers
    )


async def _refuse_body(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return JSONResponse({"error": f"{place}: {first['msg']}"}, 422)


async def _refuse_nobody(request: Request, error: ClientDisconnect) -> JSONResponse:
    return JSONResponse({"error": "the request ended before its body"}, 400)


async def _confess(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "the server made a mistake; its log says which"}, 500)
