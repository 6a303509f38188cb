"""How much a server takes from its users, and how it says no."""

import dataclasses

from starlette.exceptions import HTTPException

from mst_jax.inference.click_session import NUM_SLOTS


@dataclasses.dataclass(frozen=True)
class Limits:
    """What is refused beyond.

    Attributes:
        body_bytes: of a request.
        pixels: of a picture.
        side: height and width of a picture, each.
        sessions: open pictures kept on disk.
        awake: open pictures in memory; the one that rested longest leaves it.
        expiry: seconds after its last use that a session is forgotten.
        objects: of a picture.
        moments: of an object that undo can go back to; the oldest is forgotten.
        clicks: on an object; a program is compiled for so many slots.
        at_once: requests that are being answered.
    """

    body_bytes: int = 64 * 2**20
    pixels: int = 32_000_000
    side: int = 16_384
    sessions: int = 1000
    awake: int = 32
    expiry: float = 72 * 3600.0
    objects: int = 500
    moments: int = 200
    clicks: int = NUM_SLOTS
    at_once: int = 128


class Refused(HTTPException):
    """What a user asked for cannot be: one sentence, and a status of HTTP."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(status, sentence)
