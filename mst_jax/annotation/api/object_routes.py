"""Routes of objects: clicks, history, masks and selected tokens."""

import time
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from mst_jax.annotation.api import schemas
from mst_jax.annotation.api.session_routes import (
    MASK_BODY,
    BinarizeParam,
    BodyBytes,
    LimitsParam,
    RequestKey,
    SessionParam,
    check_image_content_type,
)
from mst_jax.annotation.files.uploads import open_mask
from mst_jax.annotation.sessions.annotation_session import AnnotationSession
from mst_jax.annotation.store.history import AnnotatedObject
from mst_jax.data.formats.images import encode_png

router = APIRouter(prefix="/api/sessions/{session_id}/objects", tags=["objects"])


@router.post("", status_code=201)
def create_object(
    session: SessionParam,
    body: schemas.CreateObjectRequest | None = None,
    request_key: RequestKey = None,
) -> schemas.ObjectResponse:
    """Add an object without clicks."""
    # The body is optional, so that `curl -X POST` suffices.
    body = body or schemas.CreateObjectRequest()
    (added,) = session.run_once(
        request_key, lambda: [session.add_object(body.name, body.color)]
    )
    return schemas.object_response(session, added)


@router.patch("/{object_id}")
def update_object(
    session: SessionParam,
    object_id: int,
    body: schemas.UpdateObjectRequest,
    request_key: RequestKey = None,
) -> schemas.ObjectResponse:
    """Change the label or the color of an object, or whether it is finished.

    An object that is no longer finished keeps its last finished mask in the exports.
    """
    # Fields that were not sent stay unchanged.
    changes = body.model_dump(exclude_unset=True)
    (updated,) = session.run_once(
        request_key, lambda: [session.update_object(object_id, **changes)]
    )
    return schemas.object_response(session, updated)


@router.delete("/{object_id}", status_code=204)
def remove_object(
    session: SessionParam, object_id: int, request_key: RequestKey = None
) -> None:
    """Remove an object; its ID is not reused, and it can be restored."""

    def remove() -> list[AnnotatedObject]:
        session.remove_object(object_id)
        return []

    session.run_once(request_key, remove)


@router.post("/{object_id}/restore")
def restore_object(
    session: SessionParam, object_id: int, request_key: RequestKey = None
) -> schemas.ObjectMaskResponse:
    """Restore an object that was removed, with its clicks and its history."""
    return _run_action(session, request_key, lambda: session.restore_object(object_id))


@router.post("/{object_id}/clicks")
def add_click(
    session: SessionParam,
    object_id: int,
    body: schemas.ClickRequest,
    request_key: RequestKey = None,
) -> schemas.ObjectMaskResponse:
    """Add a click and return the new mask."""
    return _run_action(
        session,
        request_key,
        lambda: session.click(object_id, body.y, body.x, body.positive),
    )


@router.delete("/{object_id}/clicks/{index}")
def remove_click(
    session: SessionParam, object_id: int, index: int, request_key: RequestKey = None
) -> schemas.ObjectMaskResponse:
    """Remove a click, counted from 0, and return the mask of the others."""
    return _run_action(
        session, request_key, lambda: session.remove_click(object_id, index)
    )


@router.post("/{object_id}/undo")
def undo(
    session: SessionParam, object_id: int, request_key: RequestKey = None
) -> schemas.ObjectMaskResponse:
    """Undo the last action; without one nothing changes."""
    return _run_action(session, request_key, lambda: session.undo(object_id))


@router.post("/{object_id}/redo")
def redo(
    session: SessionParam, object_id: int, request_key: RequestKey = None
) -> schemas.ObjectMaskResponse:
    """Redo the action undone last; without one nothing changes."""
    return _run_action(session, request_key, lambda: session.redo(object_id))


@router.post("/{object_id}/reset")
def reset(
    session: SessionParam, object_id: int, request_key: RequestKey = None
) -> schemas.ObjectMaskResponse:
    """Remove the clicks and the mask of an object; this can be undone."""
    return _run_action(session, request_key, lambda: session.reset(object_id))


@router.put("/{object_id}/mask", openapi_extra=MASK_BODY)
def load_mask(
    request: Request,
    session: SessionParam,
    object_id: int,
    body: BodyBytes,
    limits: LimitsParam,
    binarize: BinarizeParam = False,
    request_key: RequestKey = None,
) -> schemas.ObjectMaskResponse:
    """Replace the clicks by a mask (not 0 = object); later clicks correct it."""
    check_image_content_type(request)
    mask = open_mask(body, session.height, session.width, limits, binarize=binarize)
    return _run_action(session, request_key, lambda: session.load_mask(object_id, mask))


@router.get("/{object_id}/mask", response_class=Response)
def read_mask(
    session: SessionParam,
    object_id: int,
    values: Annotated[Literal["binary", "probability"], Query()] = "binary",
) -> Response:
    """Return the mask as PNG, 0 and 255; or the probability, scaled to 0 to 255."""
    # The padding and the region outside the last crop have probability 0.
    if values == "probability":
        pixels = session.get_probability(object_id)
    else:
        pixels = session.get_mask(object_id).astype("uint8") * 255
    return Response(encode_png(pixels), media_type="image/png")


@router.get("/{object_id}/tokens")
def read_token_boxes(
    session: SessionParam, object_id: int
) -> schemas.TokenBoxesResponse:
    """Return the fine and coarse tokens that the model selects, after a click."""
    return schemas.token_boxes_response(*session.get_token_boxes(object_id))


def _run_action(
    session: AnnotationSession,
    request_key: str | None,
    action: Callable[[], AnnotatedObject],
) -> schemas.ObjectMaskResponse:
    """Run an action on an object once, and return the object with its mask.

    Args:
        session: Session of the object.
        request_key: Key of the client's request; None = it has none.
        action: Method call of the session that changes the object.
    """
    start_time = time.perf_counter()
    # Held until the mask is read, so that the response shows this action's result.
    with session.lock:
        (changed,) = session.run_once(request_key, lambda: [action()])
        response = schemas.object_mask_response(session, changed)
    response.elapsed_ms = round(1000 * (time.perf_counter() - start_time), 1)
    return response
