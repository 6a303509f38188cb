"""Fixtures of the browser tests: the exported page, one browser, a page for each test."""

from pathlib import Path

import cv2
import pytest

from mst_jax.data.formats import images
from mst_jax.exporting.web_page import write_web_page
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_onnx import write_analytic_onnx
from tests.helpers.browser import browser  # noqa: F401
from tests.helpers.local_page_driver import LocalPageDriver
from tests.helpers.static_site import host_folder

PHOTO = Path(__file__).parents[3] / "examples" / "photos" / "coffee.jpg"


@pytest.fixture(scope="session")
def zoom():
    """Return options whose regions of interest grow and are flipped."""
    return ZoomOptions(size=64, min_side=30, max_growths=2)


@pytest.fixture(scope="session")
def photo():
    """Return a photograph, small, [h w 3] uint8."""
    pixels = images.decode_image(PHOTO.read_bytes())
    return cv2.resize(pixels, (300, 200), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="session")
def photo_path(photo, tmp_path_factory):
    """Write the photograph without loss, so that all decoders agree on it."""
    path = tmp_path_factory.mktemp("photos") / "coffee.png"
    path.write_bytes(images.encode_png(photo))
    return path


@pytest.fixture(scope="session")
def page_dir(zoom, tmp_path_factory):
    """Export the page with a model that is a formula."""
    folder = tmp_path_factory.mktemp("page")
    model_path = write_analytic_onnx(folder / "model.onnx", zoom.size)
    write_web_page(model_path, folder / "page", model_name="formula", zoom=zoom)
    return folder / "page"


@pytest.fixture
def site(page_dir):
    """Host the page as it is exported, without headers of its own."""
    with host_folder(page_dir) as site:
        yield site


@pytest.fixture
def context(browser):  # noqa: F811
    """Return an empty browser profile with a desktop window."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context
    context.close()


@pytest.fixture
def page(context, site, photo_path):
    """Return a page with the photograph."""
    page = LocalPageDriver(context, site.url)
    page.open_images(photo_path)
    yield page
    assert page.console_errors == []
    assert page.external_requests == []
