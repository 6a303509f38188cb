"""Limits on requests, images and sessions of the annotation server."""

import dataclasses

from mst_jax.inference.click_session import NUM_SLOTS


@dataclasses.dataclass(frozen=True)
class Limits:
    """Maximum sizes and counts; what exceeds them is rejected.

    Attributes:
        max_body_bytes: Length of the body of a request in bytes.
        max_pixels: Number of pixels of an image.
        max_side: Height and width of an image in pixels.
        max_sessions: Number of uploaded images; images of the folder do not count.
        max_image_bytes: Number of bytes of images and masks in memory; those that were
            not used for longest leave it.
        expiry_seconds: Seconds after its last change that an uploaded image without
            finished objects is deleted; None = never.
        max_objects: Number of objects of an image.
        max_snapshots: Number of snapshots of an object that undo and redo can reach;
            the oldest is dropped.
        max_clicks: Number of clicks on an object; programs are compiled for this number
            of click slots.
        max_concurrent_requests: Number of requests that are processed at the same time.
    """

    max_body_bytes: int = 64 * 2**20
    max_pixels: int = 48_000_000
    max_side: int = 16_384
    max_sessions: int = 1000
    max_image_bytes: int = 4 * 2**30
    expiry_seconds: float | None = None
    max_objects: int = 500
    max_snapshots: int = 200
    max_clicks: int = NUM_SLOTS
    max_concurrent_requests: int = 128

    def __post_init__(self) -> None:
        for name, limit_value in vars(self).items():
            if limit_value is not None and limit_value < 1:
                raise ValueError(f"{name} is {limit_value}, expected 1 or more")
