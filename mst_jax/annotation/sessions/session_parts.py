"""What all sessions of a server share: model, limits, labels and images."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.files.uploads import decode_pixels
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.sessions.prediction_cache import PredictionCache
from mst_jax.annotation.store.database import Database
from mst_jax.annotation.store.labels import LabelList
from mst_jax.data.formats.images import EncodedImage


class SessionImages:
    """The images of all sessions: uploads in the database, others in the folder."""

    def __init__(self, database: Database, image_folder: ImageFolder | None) -> None:
        """Use a database and a folder.

        Args:
            database: Database of the server.
            image_folder: Images that the server offers; None = uploads only.
        """
        self._database, self._folder = database, image_folder

    def read_image(self, session_id: str) -> EncodedImage:
        """Return the image of a session, JPEG or PNG, rotated upright.

        Args:
            session_id: ID of the session.

        Raises:
            RequestRejected: The file in the folder is gone (404), damaged (415) or has
                another size than when it was opened first (409).
        """
        row = self._database.fetch_one(
            "SELECT folder_name, image, height, width FROM sessions WHERE session_id = ?",
            (session_id,),
        )
        if row is None:
            raise RequestRejected("there is no such session", 404)
        name, size = row["folder_name"], (row["height"], row["width"])
        if name is None:
            return EncodedImage(row["image"], *size)
        if self._folder is None:
            raise RequestRejected(
                f"{name} belongs to a folder, and the server was started without "
                "--folder",
                404,
            )
        image = self._folder.read_image(name)
        if (image.height, image.width) != size:
            raise RequestRejected(
                f"{name} has {image.height} rows and {image.width} columns now, but "
                f"{size[0]} and {size[1]} when it was annotated; restore the file, or "
                "give the new one another name",
                409,
            )
        return image

    def read_pixels(self, session_id: str) -> UInt8[np.ndarray, "h w 3"]:
        """Return the decoded image of a session; errors as in `read_image`.

        Args:
            session_id: ID of the session.
        """
        return decode_pixels(self.read_image(session_id).data)


@dataclasses.dataclass(frozen=True)
class SessionParts:
    """What all sessions of a server share.

    Attributes:
        engine: Runs the model.
        limits: Maximum numbers of objects, clicks and snapshots.
        labels: Labels that objects can carry.
        images: Images of the sessions.
        notify_exporter: Called after a change of finished masks.
        predictions: Predictions that clicks continue from.
    """

    engine: InferenceEngine
    limits: Limits
    labels: LabelList
    images: SessionImages
    notify_exporter: Callable[[], None]
    predictions: PredictionCache = dataclasses.field(default_factory=PredictionCache)
