"""What is said over HTTP, as OpenAPI shows it. Only here are coordinates (x, y)."""

from typing import Annotated

import numpy as np
from jaxtyping import Bool
from pydantic import BaseModel, ConfigDict, Field

from mst_jax.annotation.sessions.annotation_session import Session
from mst_jax.annotation.sessions.history import Drawn
from mst_jax.inference.selected_tokens import Cells

Number = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]


class Wanted(BaseModel):
    """A body that a client sends: unknown keys and other kinds are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class FromFolder(Wanted):
    """A picture of the folder that is served."""

    picture: str = Field(max_length=1000)


class NewObject(Wanted):
    """An object that begins."""

    name: Name | None = None
    colour: Colour | None = None


class Change(Wanted):
    """What is to be other of an object; what is left out stays."""

    name: Name = ""
    colour: Colour = ""
    finished: bool = False


class ClickMessage(BaseModel):
    """A click, in pixels of the picture; the centre of the first one is (0, 0)."""

    x: float = Field(description="column")
    y: float = Field(description="row")
    positive: bool


class NewClick(Wanted):
    """A click to be made."""

    x: Number = Field(description="column, 0 <= x < width")
    y: Number = Field(description="row, 0 <= y < height")
    positive: bool = Field(True, description="on the object, or beside it")


class RunLengths(BaseModel):
    """A mask as COCO writes it: lengths of runs down the columns, the first one empty."""

    size: tuple[int, int] = Field(description="height, width")
    counts: list[int]


class ObjectMessage(BaseModel):
    """An object without its mask."""

    number: int
    name: str
    colour: str
    clicks: list[ClickMessage]
    finished: bool
    can_undo: bool
    can_redo: bool
    area: int = Field(description="pixels of the mask")
    version: int = Field(description="grows with every change of the mask")


class MaskMessage(ObjectMessage):
    """An object with its mask."""

    mask: RunLengths
    milliseconds: float = Field(0.0, description="that the server took")


class Opened(BaseModel):
    """A session that began."""

    session: str
    name: str
    width: int
    height: int


class SessionMessage(Opened):
    """A session as it stands: what a page needs to go on after it was reloaded."""

    objects: list[MaskMessage]


class Objects(BaseModel):
    """Objects that a label map became."""

    objects: list[MaskMessage]


class Tokens(BaseModel):
    """Boxes (x, y, width, height) in pixels of the picture, best first."""

    fine: list[tuple[float, float, float, float]]
    coarse: list[tuple[float, float, float, float]]


class Listed(BaseModel):
    """A picture of the folder."""

    name: str
    width: int
    height: int


class Folder(BaseModel):
    """The pictures of the folder that is served."""

    pictures: list[Listed]


class LimitsMessage(BaseModel):
    """What is refused beyond."""

    body_bytes: int
    pixels: int
    side: int
    sessions: int
    objects: int
    clicks: int


class About(BaseModel):
    """What the server is, and how far it is with compiling."""

    model: str
    version: str
    has_tokens: bool
    folder: bool
    limits: LimitsMessage
    ready: bool
    compiled: list[str]
    to_compile: int


class Error(BaseModel):
    """Why something was refused, in one sentence."""

    error: str


def describe(drawn: Drawn) -> ObjectMessage:
    """An object without its mask."""
    present = drawn.present
    clicks = [
        ClickMessage(x=click.column, y=click.row, positive=click.is_positive)
        for click in present.clicks
    ]
    return ObjectMessage(
        number=drawn.number,
        name=drawn.name,
        colour=drawn.colour,
        clicks=clicks,
        finished=drawn.finished,
        can_undo=drawn.can_undo,
        can_redo=drawn.can_redo,
        area=present.area,
        version=drawn.version,
    )


def describe_mask(session: Session, drawn: Drawn) -> MaskMessage:
    """An object of a session with its mask."""
    mask = run_lengths(session.mask(drawn.number))
    return MaskMessage(**dict(describe(drawn)), mask=mask)


def describe_session(session: Session) -> SessionMessage:
    """A session as it stands."""
    with session.lock:
        objects = [describe_mask(session, one) for one in session.objects.values()]
    return SessionMessage(
        session=session.id,
        name=session.name,
        width=session.width,
        height=session.height,
        objects=objects,
    )


def run_lengths(mask: Bool[np.ndarray, "h w"]) -> RunLengths:
    """Lengths of the runs of equal pixels, column by column, empty ones first."""
    line = mask.ravel(order="F")
    ends = np.flatnonzero(line[1:] != line[:-1]) + 1
    counts = np.diff(ends, prepend=0, append=line.size).tolist()
    if line[0]:
        counts.insert(0, 0)
    return RunLengths(size=mask.shape, counts=counts)


def describe_tokens(fine: Cells, coarse: Cells) -> Tokens:
    """Boxes as they lie in the picture; zoom may have stretched them."""
    boxes = []
    for cells in (fine, coarse):
        top, left, bottom, right = cells.boxes.T
        box = np.stack([left, top, right - left, bottom - top], axis=-1)
        boxes.append(box.tolist())
    return Tokens(fine=boxes[0], coarse=boxes[1])
