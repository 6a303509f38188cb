"""One engine for all tests of a process, and servers with a network that is a formula."""

import contextlib
from pathlib import Path

import cv2
import pytest
from starlette.testclient import TestClient

from mst_jax.annotation.app import create_app
from mst_jax.annotation.files.image_folder import PictureFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.serving.engine import Engine
from mst_jax.annotation.sessions.autosave import Saved
from mst_jax.annotation.sessions.registry import Sessions
from mst_jax.data.formats.images import encode_png
from tests.helpers.analytic_network import bumps, draw_picture

IMAGE, TARGET = draw_picture()
VIEW = dict(zoom=48, zoom_min_side=16, mirror=True)
SMALL = Limits(body_bytes=2**20, pixels=100_000, sessions=5, awake=2, objects=6)

cv2.utils.logging.setLogLevel(0)  # damaged pictures are what the tests send


@pytest.fixture(scope="session")
def engine() -> Engine:
    """An engine that is ready for pictures of the size of `IMAGE`."""
    engine = Engine(bumps, **VIEW)
    engine.compile(IMAGE.shape[:2])
    return engine


@pytest.fixture
def sessions(engine, tmp_path) -> Sessions:
    """No session yet."""
    return Sessions(tmp_path / "sessions", engine, SMALL)


@pytest.fixture
def start(engine, tmp_path):
    """Starts servers; those of one test find each other's sessions."""
    with contextlib.ExitStack() as stack:

        def start(
            limits: Limits = SMALL,
            folder: Path | None = None,
            save: Path | None = None,
            **options: object,
        ) -> TestClient:
            served = folder and PictureFolder(folder, limits)
            saved = save and Saved(save, served)
            sessions = Sessions(tmp_path / "sessions", engine, limits, saved)
            app = create_app(
                engine, sessions, limits=limits, folder=served, sizes=(), **options
            )
            client = TestClient(app, base_url="http://127.0.0.1:8000")
            return stack.enter_context(client)

        yield start


@pytest.fixture
def client(start) -> TestClient:
    """A server without sessions."""
    return start()


def open_picture(client: TestClient, image=IMAGE) -> str:
    """Opens a picture and begins an object; the address of the session."""
    answer = send(client, "/api/sessions?name=scene.png", encode_png(image))
    assert answer.status_code == 201, answer.text
    address = f"/api/sessions/{answer.json()['session']}"
    assert client.post(f"{address}/objects", json={}).json()["number"] == 1
    return address


def send(client: TestClient, address: str, data, kind="image/png", method="POST"):
    """Sends bytes as a picture."""
    return client.request(method, address, content=data, headers={"content-type": kind})
