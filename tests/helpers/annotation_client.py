"""An engine with an analytic network, and clients of annotation servers in this process."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import pytest
from starlette.testclient import TestClient

from mst_jax.annotation.app import create_app
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.annotation.sessions.save_folder import SaveFolder
from mst_jax.annotation.store.database import Database
from mst_jax.data.formats.images import encode_png
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import analytic_model, draw_image

IMAGE, TARGET = draw_image()
ZOOM = ZoomOptions(size=48, min_side=16, flip_tta=True)
SMALL_LIMITS = Limits(
    max_body_bytes=2**20,
    max_pixels=100_000,
    max_sessions=5,
    max_image_bytes=2**17,
    max_objects=6,
)

cv2.utils.logging.setLogLevel(0)  # the tests send damaged images


@pytest.fixture(scope="session")
def engine() -> InferenceEngine:
    """Return an engine that is compiled for images of the size of `IMAGE`."""
    engine = InferenceEngine(analytic_model, zoom=ZOOM)
    engine.compile_sizes(IMAGE.shape[:2])
    return engine


@pytest.fixture
def database(tmp_path):
    """Return an empty database."""
    database = Database(tmp_path / "sessions")
    yield database
    database.close()


@pytest.fixture
def registry(engine, database) -> SessionRegistry:
    """Return a registry without sessions."""
    return SessionRegistry(database, engine, SMALL_LIMITS)


@pytest.fixture
def start_server(engine, tmp_path):
    """Return a function that starts a server, and stops the last one of the test.

    The servers of one test use the same database.
    """
    with contextlib.ExitStack() as stack:

        def start(
            limits: Limits = SMALL_LIMITS,
            folder: Path | None = None,
            save: Path | None = None,
            fixed_labels: Sequence[str] | None = None,
            **options: Any,
        ) -> TestClient:
            stack.close()
            database = Database(tmp_path / "sessions")
            stack.callback(database.close)
            image_folder = ImageFolder(folder, limits) if folder else None
            save_folder = SaveFolder(save, database) if save else None
            registry = SessionRegistry(
                database,
                engine,
                limits,
                image_folder=image_folder,
                save_folder=save_folder,
                fixed_labels=fixed_labels,
            )
            app = create_app(
                engine,
                registry,
                limits=limits,
                image_folder=image_folder,
                save_folder=save_folder,
                sizes=(),
                **options,
            )
            client = TestClient(app, base_url="http://127.0.0.1:8000")
            return stack.enter_context(client)

        yield start


@pytest.fixture
def client(start_server) -> TestClient:
    """Return the client of a server without sessions."""
    return start_server()


def open_image(client: TestClient, image=IMAGE) -> str:
    """Upload an image, add an object, and return the URL path of the session."""
    response = send_bytes(client, "/api/sessions?name=scene.png", encode_png(image))
    assert response.status_code == 201, response.text
    session_url = f"/api/sessions/{response.json()['session_id']}"
    added = client.post(f"{session_url}/objects", json={})
    assert added.json()["object_id"] == 1
    return session_url


def send_bytes(
    client: TestClient, url: str, data, content_type="image/png", method="POST"
):
    """Send bytes with a content type, and return the response."""
    headers = {"content-type": content_type}
    return client.request(method, url, content=data, headers=headers)


def insert_session(database: Database, session_id: str, **columns: Any) -> None:
    """Insert a session of an image as large as `IMAGE`, without objects."""
    columns = {
        "session_id": session_id,
        "image_name": "scene.png",
        "height": IMAGE.shape[0],
        "width": IMAGE.shape[1],
        "last_used": 0.0,
        **columns,
    }
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    with database.transaction() as connection:
        connection.execute(
            f"INSERT INTO sessions ({names}) VALUES ({marks})", tuple(columns.values())
        )
