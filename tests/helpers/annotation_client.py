"""An engine with an analytic network, and clients of annotation servers in this process."""

import contextlib
from pathlib import Path
from typing import Any

import cv2
import pytest
from starlette.testclient import TestClient

from mst_jax.annotation.app import create_app
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.sessions.autosave import Autosave
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.data.formats.images import encode_png
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import analytic_model, draw_image

IMAGE, TARGET = draw_image()
ZOOM = ZoomOptions(size=48, min_side=16, flip_tta=True)
SMALL_LIMITS = Limits(
    max_body_bytes=2**20,
    max_pixels=100_000,
    max_sessions=5,
    max_in_memory=2,
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
def registry(engine, tmp_path) -> SessionRegistry:
    """Return a registry without sessions."""
    return SessionRegistry(tmp_path / "sessions", engine, SMALL_LIMITS)


@pytest.fixture
def start_server(engine, tmp_path):
    """Return a function that starts servers; those of one test share their sessions."""
    with contextlib.ExitStack() as stack:

        def start(
            limits: Limits = SMALL_LIMITS,
            folder: Path | None = None,
            save: Path | None = None,
            **options: Any,
        ) -> TestClient:
            image_folder = ImageFolder(folder, limits) if folder else None
            autosave = Autosave(save, image_folder) if save and image_folder else None
            registry = SessionRegistry(tmp_path / "sessions", engine, limits, autosave)
            app = create_app(
                engine,
                registry,
                limits=limits,
                image_folder=image_folder,
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
