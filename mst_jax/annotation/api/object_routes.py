"""Addresses of objects: click, undo, correct, and see what the model saw."""

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

import mst_jax.annotation.api.schemas as say
from mst_jax.annotation.api.session_routes import (
    MASK_BODY,
    Allowed,
    Bytes,
    Named,
    check_is_picture,
)
from mst_jax.annotation.files.uploads import open_mask
from mst_jax.data.formats.images import encode_png

router = APIRouter(prefix="/api/sessions/{session}/objects", tags=["objects"])


@router.post("", status_code=201)
def begin_object(session: Named, new: say.NewObject | None = None) -> say.ObjectMessage:
    """Begins an object."""
    new = new or say.NewObject()
    return say.describe(session.add(new.name, new.colour))


@router.patch("/{number}")
def change_object(session: Named, number: int, change: say.Change) -> say.ObjectMessage:
    """Gives an object another name or colour, finishes it, or goes on with it."""
    return say.describe(session.change(number, **change.model_dump(exclude_unset=True)))


@router.delete("/{number}", status_code=204)
def remove_object(session: Named, number: int) -> None:
    """Removes an object; its number is not given again."""
    session.remove(number)


@router.post("/{number}/clicks")
def click(session: Named, number: int, new: say.NewClick) -> say.MaskMessage:
    """Clicks on an object, or beside it."""
    return _after(session, number, session.click, new.y, new.x, new.positive)


@router.delete("/{number}/clicks/{index}")
def remove_click(session: Named, number: int, index: int) -> say.MaskMessage:
    """Removes a click, counted from 0; the mask is that of the others."""
    return _after(session, number, session.remove_click, index)


@router.post("/{number}/undo")
def undo(session: Named, number: int) -> say.MaskMessage:
    """Takes the last action back; without one nothing changes."""
    return _after(session, number, session.undo)


@router.post("/{number}/redo")
def redo(session: Named, number: int) -> say.MaskMessage:
    """Does again what was taken back last; if nothing was, nothing changes."""
    return _after(session, number, session.redo)


@router.post("/{number}/reset")
def reset(session: Named, number: int) -> say.MaskMessage:
    """Begins the object anew; can be taken back."""
    return _after(session, number, session.reset)


@router.put("/{number}/mask", openapi_extra=MASK_BODY)
def load_mask(
    request: Request, session: Named, number: int, body: Bytes, limits: Allowed
) -> say.MaskMessage:
    """Takes a mask in place of the clicks, not 0 on the object; clicks correct it."""
    check_is_picture(request)
    mask = open_mask(body, session.height, session.width, limits)
    return _after(session, number, session.load, mask)


@router.get("/{number}/mask", response_class=Response)
def see_mask(
    session: Named,
    number: int,
    form: Annotated[Literal["mask", "probability"], Query()] = "mask",
) -> Response:
    """The mask as PNG, 0 and 255; or how sure the model is, 0 to 255."""
    if form == "probability":
        pixels = session.probability(number)
    else:
        pixels = session.mask(number).astype("uint8") * 255
    return Response(encode_png(pixels), media_type="image/png")


@router.get("/{number}/tokens")
def see_tokens(session: Named, number: int) -> say.Tokens:
    """The fine and coarse tokens that the model looks at now, after a click."""
    return say.describe_tokens(*session.tokens(number))


def _after(session: Named, number: int, act: object, *how: object) -> say.MaskMessage:
    """Does something to an object and tells how it stands then."""
    start = time.perf_counter()
    with session.lock:
        message = say.describe_mask(session, act(number, *how))
    message.milliseconds = round(1000 * (time.perf_counter() - start), 1)
    return message
