"""Addresses of pictures: open one, see how it stands, close it."""

import json
from pathlib import PurePosixPath
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError

import mst_jax.annotation.api.schemas as say
from mst_jax.annotation.files.export_formats import FORMS
from mst_jax.annotation.files.image_folder import PictureFolder
from mst_jax.annotation.files.uploads import FORMATS, open_labels, open_picture
from mst_jax.annotation.limits import Limits, Refused
from mst_jax.annotation.sessions.annotation_session import Session
from mst_jax.annotation.sessions.registry import Sessions

router = APIRouter(prefix="/api/sessions", tags=["sessions"])


async def read_body(request: Request) -> bytes:
    """The bytes of a request."""
    return await request.body()


def get_sessions(request: Request) -> Sessions:
    """All sessions of the server."""
    return request.app.state.sessions


def get_limits(request: Request) -> Limits:
    """What the server refuses."""
    return request.app.state.limits


def get_folder(request: Request) -> PictureFolder:
    """The folder that is served; Refused (404) if none is."""
    if request.app.state.folder is None:
        raise Refused("no folder is served; send the picture itself", 404)
    return request.app.state.folder


def get_session(
    session: str, sessions: Annotated[Sessions, Depends(get_sessions)]
) -> Session:
    """The session that the address names."""
    return sessions.get(session)


Bytes = Annotated[bytes, Depends(read_body)]
All = Annotated[Sessions, Depends(get_sessions)]
Allowed = Annotated[Limits, Depends(get_limits)]
Named = Annotated[Session, Depends(get_session)]

PICTURE = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
MASK_BODY = {"requestBody": {"required": True, "content": PICTURE}}
_FROM_FOLDER = {"application/json": {"schema": say.FromFolder.model_json_schema()}}
_PICTURE_BODY = {"requestBody": {"required": True, "content": PICTURE | _FROM_FOLDER}}


def check_is_picture(request: Request) -> None:
    """Refused (415) unless the body is said to be a picture."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise Refused(
            f"the content type is {kind[:100]!r}, expected a picture such as image/png",
            415,
        )


@router.post("", status_code=201, openapi_extra=_PICTURE_BODY)
def open_session(
    request: Request,
    body: Bytes,
    sessions: All,
    limits: Allowed,
    name: Annotated[str, Query(max_length=200)] = "picture",
) -> say.Opened:
    """Opens a picture: its bytes, or JSON with its name in the folder that is served.

    A picture of the folder that is open already is shared by all who open it. The
    first picture of a new size waits until the programs for it are compiled.
    """
    source, session = "", None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        name, folder = _read_name(body), get_folder(request)
        source, body = folder.source(name), folder.read(name)
        session = sessions.find(source)
    else:
        check_is_picture(request)
    if session is None:
        picture = open_picture(body, limits)
        session = sessions.create(picture, name=name, source=source)
    return say.describe_session(session)


@router.get("/{session}")
def see_session(session: Named) -> say.SessionMessage:
    """The whole state, with all masks."""
    return say.describe_session(session)


@router.delete("/{session}", status_code=204)
def close_session(session: str, sessions: All) -> None:
    """Closes a picture; all that was done to it is forgotten."""
    sessions.remove(session)


@router.get("/{session}/picture", response_class=Response)
def see_picture(session: Named) -> Response:
    """The picture as the model sees it, JPEG or PNG."""
    data = session.picture
    kind = "PNG" if data.startswith(b"\x89PNG") else "JPEG"
    return Response(data, media_type=FORMATS[kind])


@router.post("/{session}/masks", status_code=201, openapi_extra=MASK_BODY)
def load_labels(
    request: Request, session: Named, body: Bytes, limits: Allowed
) -> say.Objects:
    """Takes a label map: every value above 0 becomes an object with that mask."""
    check_is_picture(request)
    labels = open_labels(body, session.height, session.width, limits)
    with session.lock:
        made = session.load_labels(labels)
        return say.Objects(objects=[say.describe_mask(session, one) for one in made])


@router.get("/{session}/export", response_class=Response)
def export_session(
    session: Named, form: Annotated[Literal[tuple(FORMS)], Query()]
) -> Response:
    """The objects as a file: label map, COCO json, NumPy, or everything."""
    with session.lock:
        made = FORMS[form](session.export())
    name = quote(PurePosixPath(session.name).stem + made.suffix, safe="")
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{name}"}
    return Response(made.data, media_type=made.media_type, headers=headers)


def _read_name(body: bytes) -> str:
    try:
        return say.FromFolder.model_validate(json.loads(body)).picture
    except (ValueError, RecursionError, ValidationError):
        raise Refused(
            'the body is not understood, expected {"picture": NAME} as JSON', 422
        ) from None
