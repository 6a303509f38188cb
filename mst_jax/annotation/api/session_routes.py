"""Routes of sessions: open an image, read its state, export and close it."""

import functools
import json
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError

from mst_jax.annotation.api import schemas
from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.export_formats import EXPORT_FORMATS, ExportFormat
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.files.uploads import (
    IMAGE_MEDIA_TYPES,
    make_thumbnail,
    open_image,
    open_label_map,
)
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.sessions import mask_import
from mst_jax.annotation.sessions.annotation_session import AnnotationSession
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.annotation.sessions.session_export import make_session_export
from mst_jax.annotation.store.image_index import ImageIndex

router = APIRouter(prefix="/api/sessions", tags=["sessions"])


async def read_body(request: Request) -> bytes:
    """Return the body of a request."""
    return await request.body()


def get_registry(request: Request) -> SessionRegistry:
    """Return the sessions of the server."""
    return request.app.state.registry


def get_limits(request: Request) -> Limits:
    """Return the limits of the server."""
    return request.app.state.limits


def get_image_folder(request: Request) -> ImageFolder:
    """Return the served folder.

    Raises:
        RequestRejected: The server has no folder (404).
    """
    if request.app.state.image_folder is None:
        raise RequestRejected(
            "the server has no image folder; upload the image instead", 404
        )
    return request.app.state.image_folder


def get_image_index(request: Request) -> ImageIndex:
    """Return the index of the served folder.

    Raises:
        RequestRejected: The server has no folder (404).
    """
    get_image_folder(request)
    return request.app.state.image_index


def get_session(
    session_id: str, registry: Annotated[SessionRegistry, Depends(get_registry)]
) -> AnnotationSession:
    """Return the session that the path names."""
    return registry.get_session(session_id)


def get_export_state_reader(
    session_id: str, registry: Annotated[SessionRegistry, Depends(get_registry)]
) -> schemas.ExportStateReader:
    """Return the reader of the export state of the session that the path names."""
    return functools.partial(registry.read_export_state, session_id)


# Types of route parameters; FastAPI computes their values with the functions above.
BodyBytes = Annotated[bytes, Depends(read_body)]
RegistryParam = Annotated[SessionRegistry, Depends(get_registry)]
LimitsParam = Annotated[Limits, Depends(get_limits)]
SessionParam = Annotated[AnnotationSession, Depends(get_session)]
ExportStateReaderParam = Annotated[
    schemas.ExportStateReader, Depends(get_export_state_reader)
]
RequestKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[A-Za-z0-9_-]{1,100}$",
        description="a request with the key of an earlier one is not applied again",
    ),
]

BinarizeParam = Annotated[
    bool,
    Query(
        description="true: pixels above half of white are the object if edges are soft"
    ),
]

# OpenAPI descriptions of bodies that are read as bytes.
_IMAGE_CONTENT = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
_JSON_CONTENT = {
    "application/json": {"schema": schemas.OpenImageRequest.model_json_schema()}
}
MASK_BODY = {"requestBody": {"required": True, "content": _IMAGE_CONTENT}}
_IMAGE_BODY = {
    "requestBody": {"required": True, "content": _IMAGE_CONTENT | _JSON_CONTENT}
}


def check_image_content_type(request: Request) -> None:
    """Reject a request (415) whose content type is not an image.

    Args:
        request: Request with an image as its body.
    """
    content_type = read_content_type(request)
    is_image = content_type.startswith("image/")
    if not is_image and content_type != "application/octet-stream":
        raise RequestRejected(
            f"the content type is {content_type[:100]!r}, expected an image such as "
            "image/png",
            415,
        )


@router.post("", status_code=201, openapi_extra=_IMAGE_BODY)
def open_session(
    request: Request,
    body: BodyBytes,
    registry: RegistryParam,
    limits: LimitsParam,
    name: Annotated[str, Query(max_length=200)] = "image",
    request_key: RequestKey = None,
) -> schemas.SessionInfoResponse:
    """Open an image: its bytes, or JSON with its name in the served folder.

    All users who open the same image of the folder share one session.
    """
    if read_content_type(request) == "application/json":
        image_name = _parse_image_name(body)
        with get_image_index(request).report_damage(image_name):
            session = registry.open_folder_image(image_name)
            session.read_image()  # fails if the pixels are damaged
    else:
        check_image_content_type(request)
        image = open_image(body, limits)
        session = registry.create_session(
            image, image_name=name, request_key=request_key
        )
    # In the background, so that the first click need not wait for it.
    request.app.state.engine.compile_soon(session.height, session.width)
    return schemas.SessionInfoResponse(
        session_id=session.session_id,
        image_name=session.image_name,
        folder_image=session.folder_name,
        width=session.width,
        height=session.height,
        remarks=session.remarks,
    )


@router.get("/{session_id}")
def read_session(
    session: SessionParam, read_export_state: ExportStateReaderParam
) -> schemas.SessionResponse:
    """Return a session with all objects and masks."""
    return schemas.session_response(session, read_export_state)


@router.get("/{session_id}/changes")
def read_changes(
    session: SessionParam,
    read_export_state: ExportStateReaderParam,
    since: Annotated[int, Query(ge=0, description="revision")] = 0,
) -> schemas.ChangesResponse:
    """Return the objects that have changed after a revision, and all object IDs."""
    return schemas.changes_response(session, read_export_state, since=since)


@router.delete("/{session_id}", status_code=204)
def close_session(session_id: str, registry: RegistryParam) -> None:
    """Delete the session of an uploaded image with all objects and masks."""
    registry.remove_session(session_id)


@router.get("/{session_id}/image", response_class=Response)
def read_image(session: SessionParam) -> Response:
    """Return the image as the model sees it, JPEG or PNG."""
    # Images are JPEG or PNG only, see `uploads.open_image`.
    data = session.read_image().data
    image_format = "PNG" if data.startswith(b"\x89PNG") else "JPEG"
    return Response(data, media_type=IMAGE_MEDIA_TYPES[image_format])


@router.get("/{session_id}/thumbnail", response_class=Response)
def read_session_thumbnail(session: SessionParam) -> Response:
    """Return a small JPEG of the image."""
    data = make_thumbnail(session.read_image().data)
    return Response(data, media_type="image/jpeg")


@router.post("/{session_id}/label-map", status_code=201, openapi_extra=MASK_BODY)
def load_label_map(
    request: Request,
    session: SessionParam,
    body: BodyBytes,
    limits: LimitsParam,
    binarize: BinarizeParam = False,
    request_key: RequestKey = None,
) -> schemas.ObjectListResponse:
    """Add an object for every value above 0 of a label map."""
    check_image_content_type(request)
    label_map = open_label_map(
        body, session.height, session.width, limits, binarize=binarize
    )
    # Held until the masks are read: no other action comes in between.
    with session.lock:
        added_objects = session.run_once(
            request_key, lambda: mask_import.load_label_map(session, label_map)
        )
        return schemas.ObjectListResponse(
            objects=[
                schemas.object_mask_response(session, annotated_object)
                for annotated_object in added_objects
            ]
        )


@router.get("/{session_id}/export", response_class=Response)
def export_session(
    session: SessionParam,
    format: Annotated[ExportFormat, Query()],
) -> Response:
    """Return the objects as a file: label map, COCO JSON, NumPy, or all of them."""
    session_export = make_session_export(session, session.read_image().data)
    # Without the lock of the session, so that other users need not wait.
    exported_file = EXPORT_FORMATS[format](session_export)
    # The name of the image with the suffix of the format, as the browser saves it.
    # Percent-encoded, because header values cannot hold names in all scripts.
    file_name = PurePosixPath(session.image_name).stem + exported_file.suffix
    content_disposition = f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"
    return Response(
        exported_file.data,
        media_type=exported_file.media_type,
        headers={"content-disposition": content_disposition},
    )


def read_content_type(request: Request) -> str:
    """Return the content type without parameters such as the charset.

    Args:
        request: Request with a body.
    """
    content_type_header = request.headers.get("content-type", "")
    return content_type_header.partition(";")[0].strip().lower()


def _parse_image_name(body: bytes) -> str:
    # RecursionError: JSON nested thousands of levels deep.
    try:
        return schemas.OpenImageRequest.model_validate(json.loads(body)).image
    except (ValueError, RecursionError, ValidationError):
        raise RequestRejected(
            'the body is invalid, expected {"image": NAME}', 422
        ) from None
