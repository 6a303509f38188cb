"""One server and one browser for all tests of the page."""

from pathlib import Path

import pytest

import mst_jax
from mst_jax.checkpoints import store
from mst_jax.data.formats import images
from tests.helpers.analytic_network import draw_picture
from tests.helpers.annotation_client import client, engine, sessions, start  # noqa: F401
from tests.helpers.browser import launch, serve
from tests.helpers.page_driver import Annotator
from tests.models.test_simpleclick import drawn_params

MODEL = dict(name="mst", size="nano", crop=64, depth=2, width=24, num_heads=2, every=1)
CONFIG = {
    "model": MODEL | {"pyramid": (8, 8, 8, 8), "head": 8},
    "evaluation": {"zoom": 64, "zoom_min_side": 32},
}


def write_model(folder: Path) -> Path:
    """A model whose parameters are drawn, but half of what it sees is object.

    As drawn it would find none, and there would be nothing to export.
    """
    params = drawn_params(mst_jax.build(**CONFIG["model"]))
    logits = params["decoder"]["logits"]
    logits["kernel"] *= 10
    logits["bias"] += 0.508  # minus the median that its logits then have
    store.write_model(folder, params, CONFIG)
    return folder


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A picture of its own, and a folder of three."""
    root = tmp_path_factory.mktemp("pictures")
    (root / "folder").mkdir()
    picture = images.encode_png(draw_picture(60, 84)[0])
    (root / "scene.png").write_bytes(picture)
    for number in range(3):
        place = root / "folder" / f"scene {number}.png"
        place.write_bytes(images.encode_png(draw_picture(60 + number, 84)[0]))
    return root


@pytest.fixture(scope="session")
def url(files, tmp_path_factory):
    model = write_model(tmp_path_factory.mktemp("models") / "lively")
    kept = tmp_path_factory.mktemp("sessions")
    with serve(
        model, "--sessions", kept, "--folder", files / "folder", "--save", kept / "save"
    ) as url:
        yield url


@pytest.fixture(scope="session")
def browser():
    with launch() as browser:
        yield browser


@pytest.fixture
def context(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context
    context.close()


@pytest.fixture
def annotator(context, url, files):
    """The page with the first picture of the folder, then with one of our own."""
    annotator = Annotator(context, url)
    annotator.wait_for_session(other_than=None)
    annotator.open(files / "scene.png")
    yield annotator
    assert annotator.faults == []
    assert annotator.strangers == []
