"""Bodies of requests and responses, as OpenAPI shows them.

Only here are coordinates (x, y); everywhere else they are (row, column).
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from jaxtyping import Bool
from pydantic import BaseModel, ConfigDict, Field

from mst_jax.annotation.files.run_lengths import count_runs
from mst_jax.annotation.sessions.annotation_session import AnnotationSession
from mst_jax.annotation.store.history import AnnotatedObject
from mst_jax.inference.selected_tokens import TokenBoxes

# Constraints that OpenAPI shows and pydantic checks.
PixelCoordinate = Annotated[float, Field(allow_inf_nan=False)]
ObjectName = Annotated[str, Field(min_length=1, max_length=200)]
HexColor = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
BoxXYWH = tuple[float, float, float, float]

ExportStateReader = Callable[[], tuple[bool, str | None]]
"""Returns whether all finished work of a session is exported, and the error."""


class RequestBody(BaseModel):
    """Base of all request bodies: unknown keys and other types are rejected."""

    model_config = ConfigDict(extra="forbid", strict=True)


class OpenImageRequest(RequestBody):
    """An image of the served folder to open."""

    image: str = Field(max_length=1000, description="path relative to the folder")


class CreateObjectRequest(RequestBody):
    """A new object."""

    name: ObjectName | None = None
    color: HexColor | None = None


class UpdateObjectRequest(RequestBody):
    """The attributes of an object to change; missing ones stay unchanged."""

    # The defaults are never used: the route reads only the fields that were sent.
    # Without None in the types, an explicit null is rejected.
    name: ObjectName = ""
    color: HexColor = ""
    finished: bool = False


class ClickRequest(RequestBody):
    """A click to add."""

    x: PixelCoordinate = Field(description="column in pixels, 0 <= x < width")
    y: PixelCoordinate = Field(description="row in pixels, 0 <= y < height")
    positive: bool = Field(True, description="true on the object, false beside it")


class ClickResponse(BaseModel):
    """A click in pixels of the image; the center of the first pixel is (0, 0)."""

    x: float = Field(description="column in pixels")
    y: float = Field(description="row in pixels")
    positive: bool = Field(description="true on the object, false beside it")


class RunLengthMask(BaseModel):
    """A mask as COCO's uncompressed run lengths: down the columns, background first."""

    size: tuple[int, int] = Field(description="height and width in pixels")
    counts: list[int] = Field(description="lengths of the runs of equal pixels")


class ObjectResponse(BaseModel):
    """An object without its mask."""

    object_id: int = Field(description="from 1; never reused in a session")
    name: str = Field(description='the label, or "object" and the ID')
    category_id: int | None = Field(description="of the label in COCO; null = none")
    color: str
    clicks: list[ClickResponse]
    finished: bool
    can_undo: bool
    can_redo: bool
    area: int = Field(description="number of pixels of the mask")
    version: int = Field(description="grows with every change of the mask")
    revision: int = Field(description="of the session, at the object's last change")
    saved_version: int | None = Field(
        description="version of the mask when it was finished last; exports contain this "
        "mask; null = not in the exports"
    )


class ObjectMaskResponse(ObjectResponse):
    """An object with its mask."""

    mask: RunLengthMask
    elapsed_ms: float = Field(0.0, description="time of the action on the server")


class SessionInfoResponse(BaseModel):
    """A session without its objects."""

    session_id: str
    image_name: str
    folder_image: str | None = Field(description="path in the folder; null = uploaded")
    width: int
    height: int
    remarks: list[str] = Field(description="how the file was read, if it is unusual")


class ExportState(BaseModel):
    """The state of a session and of its output files."""

    revision: int = Field(description="grows with every change of the session")
    is_exported: bool = Field(description="false while finished work is not in --save")
    save_error: str | None = Field(description="why the files could not be written")


class SessionResponse(SessionInfoResponse, ExportState):
    """A session with all objects and masks; from it a page resumes after a reload."""

    objects: list[ObjectMaskResponse]


class ChangesResponse(ExportState):
    """The objects of a session that have changed after a revision."""

    object_ids: list[int] = Field(description="all objects, in order")
    objects: list[ObjectMaskResponse]


class ObjectListResponse(BaseModel):
    """The objects added from a label map."""

    objects: list[ObjectMaskResponse]


class TokenBoxesResponse(BaseModel):
    """Selected tokens as boxes (x, y, width, height) in pixels, highest score first."""

    fine: list[BoxXYWH]
    coarse: list[BoxXYWH]


class LimitsResponse(BaseModel):
    """Maximum sizes and counts."""

    max_body_bytes: int
    max_pixels: int
    max_side: int
    max_sessions: int
    max_objects: int
    max_clicks: int


class AboutResponse(BaseModel):
    """The server, its model, and the progress of compiling."""

    model: str
    version: str
    has_token_selection: bool
    has_image_folder: bool
    saves_to_folder: bool = Field(description="true if --save is given")
    limits: LimitsResponse
    ready: bool = Field(description="true once all programs are compiled")
    compiled_programs: list[str]
    num_pending_programs: int


def object_response(
    session: AnnotationSession, annotated_object: AnnotatedObject
) -> ObjectResponse:
    """Describe an object without its mask.

    Args:
        session: Session of the object.
        annotated_object: Object of the session.
    """
    snapshot = annotated_object.current_snapshot
    # Rows and columns become y and x here.
    clicks = [
        ClickResponse(x=click.column, y=click.row, positive=click.is_positive)
        for click in snapshot.clicks
    ]
    return ObjectResponse(
        object_id=annotated_object.object_id,
        name=session.display_name(annotated_object),
        category_id=annotated_object.label_id,
        color=annotated_object.color,
        clicks=clicks,
        finished=annotated_object.finished,
        can_undo=annotated_object.can_undo,
        can_redo=annotated_object.can_redo,
        area=snapshot.area,
        version=annotated_object.version,
        revision=annotated_object.revision,
        saved_version=annotated_object.saved_version,
    )


def object_mask_response(
    session: AnnotationSession, annotated_object: AnnotatedObject
) -> ObjectMaskResponse:
    """Describe an object with its mask; arguments as for `object_response`."""
    # Run lengths are a few kilobytes, and the page decodes them without a PNG decoder.
    mask = encode_run_lengths(session.get_mask(annotated_object.object_id))
    response = object_response(session, annotated_object)
    return ObjectMaskResponse(**dict(response), mask=mask)


def session_response(
    session: AnnotationSession, read_export_state: ExportStateReader
) -> SessionResponse:
    """Describe a session with all objects.

    Args:
        session: Session to describe.
        read_export_state: Returns whether all finished work is exported, and the error.
    """
    changes = changes_response(session, read_export_state, since=0)
    return SessionResponse(
        session_id=session.session_id,
        image_name=session.image_name,
        folder_image=session.folder_name,
        width=session.width,
        height=session.height,
        remarks=session.remarks,
        **changes.model_dump(exclude={"object_ids"}),
    )


def changes_response(
    session: AnnotationSession, read_export_state: ExportStateReader, *, since: int
) -> ChangesResponse:
    """Describe the objects of a session that have changed after a revision.

    Args:
        session: Session to describe.
        read_export_state: Returns whether all finished work is exported, and the error.
        since: Revision; one that the session has not reached means 0.
    """
    # The lock keeps the objects and their masks consistent.
    with session.lock:
        since = since if since <= session.revision else 0
        objects = [
            object_mask_response(session, annotated_object)
            for annotated_object in session.objects.values()
            if annotated_object.revision > since
        ]
        revision, object_ids = session.revision, list(session.objects)
    # Read after the objects, so that none of them is newer than the export state.
    is_exported, save_error = read_export_state()
    return ChangesResponse(
        revision=revision,
        is_exported=is_exported,
        save_error=save_error,
        object_ids=object_ids,
        objects=objects,
    )


def encode_run_lengths(mask: Bool[np.ndarray, "h w"]) -> RunLengthMask:
    """Encode a mask as COCO's uncompressed run lengths.

    Args:
        mask: [h w] object pixels.
    """
    height, width = mask.shape
    return RunLengthMask(size=(height, width), counts=count_runs(mask))


def token_boxes_response(fine: TokenBoxes, coarse: TokenBoxes) -> TokenBoxesResponse:
    """Convert token boxes to x, y, width and height.

    Args:
        fine: Boxes of the fine tokens; zoom may have stretched them.
        coarse: Boxes of the coarse tokens; zoom may have stretched them.
    """
    return TokenBoxesResponse(fine=_to_xywh(fine), coarse=_to_xywh(coarse))


def _to_xywh(token_boxes: TokenBoxes) -> list[BoxXYWH]:
    # Unlike clicks, boxes have pixel edges: right - left is the width, without + 1.
    top, left, bottom, right = token_boxes.boxes.T
    boxes = np.stack([left, top, right - left, bottom - top], axis=-1)
    return [(x, y, width, height) for x, y, width, height in boxes.tolist()]
