"""Fixtures of the browser tests: one server, one browser, a page for each test."""

import pytest

from mst_jax.data.formats import images
from tests.helpers.analytic_network import draw_image
from tests.helpers.browser import browser, serve  # noqa: F401
from tests.helpers.page_driver import PageDriver, delete_folder_objects
from tests.helpers.token_model import write_token_model


@pytest.fixture(scope="session")
def image_dir(tmp_path_factory):
    """Write an image to upload, `scene.png`, and a folder of three images to serve."""
    image_dir = tmp_path_factory.mktemp("images")
    (image_dir / "folder").mkdir()
    image = images.encode_png(draw_image(60, 84)[0])
    (image_dir / "scene.png").write_bytes(image)
    # Heights differ, so that the images can be told apart.
    for index in range(3):
        path = image_dir / "folder" / f"scene {index}.png"
        path.write_bytes(images.encode_png(draw_image(60 + index, 84)[0]))
    return image_dir


@pytest.fixture(scope="session")
def server_url(image_dir, tmp_path_factory):
    """Start a server with a folder of images; return its URL."""
    model_dir = write_token_model(tmp_path_factory.mktemp("models") / "token model")
    sessions_dir = tmp_path_factory.mktemp("sessions")
    flags = ["--sessions", sessions_dir, "--folder", image_dir / "folder"]
    with serve(model_dir, *flags, "--save", sessions_dir / "save") as server_url:
        yield server_url


@pytest.fixture
def context(browser):  # noqa: F811
    """Return an empty browser profile with a desktop window."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context
    context.close()


@pytest.fixture
def page(context, server_url, image_dir):
    """Return a page with an uploaded image; those of the folder have no objects."""
    delete_folder_objects(context.request, server_url)
    page = PageDriver(context, server_url)
    page.wait_for_session(other_than=None)
    page.open_images(image_dir / "scene.png")
    yield page
    assert page.console_errors == []
    assert page.external_requests == []
