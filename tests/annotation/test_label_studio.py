"""The example backend, asked as Label Studio asks."""

import runpy
from pathlib import Path

import httpx2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from starlette.testclient import TestClient

from mst_jax.data.formats.images import encode_png
from mst_jax.inference.predictor import Predictor
from tests.helpers.analytic_network import bumps
from tests.helpers.annotation_client import IMAGE, VIEW

EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples/label_studio.py"))
same = np.testing.assert_array_equal


def unpack(data: list[int], height: int, width: int) -> np.ndarray:
    """The mask again, bit by bit, as Label Studio's page reads it."""
    stream = iter("".join(f"{byte:08b}" for byte in data))

    def read(bits: int) -> int:
        return int("".join(next(stream) for _ in range(bits)), 2)

    num, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values = []
    while len(values) < num:
        assert read(1) == 1  # a run
        length = read(sizes[read(2)]) + 1
        values += [read(word)] * length
    return np.array(values).reshape(height, width, 4)


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_packed_mask_is_read_again(mask):
    pixels = unpack(EXAMPLE["pack"](mask), *mask.shape)
    same(pixels, np.repeat(mask[..., None], 4, axis=-1) * 255)


def test_long_runs_are_packed_in_pieces():
    mask = np.ones((150, 200), bool)
    same(unpack(EXAMPLE["pack"](mask), 150, 200)[..., 3], mask * 255)


@pytest.fixture
def studio():
    """A Label Studio with one picture."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path != "/data/upload/1/scene.png":
            return httpx2.Response(404)
        headers = {"content-type": "image/png"}
        return httpx2.Response(200, content=encode_png(IMAGE), headers=headers)

    return httpx2.Client(
        transport=httpx2.MockTransport(answer), base_url="http://studio:8080"
    )


@pytest.fixture
def backend(client, studio):
    backend = EXAMPLE["Backend"](client, studio)
    return TestClient(EXAMPLE["make_app"](backend))


def keypoint(x: float, y: float, is_positive: bool) -> dict:
    """As the page sends it: percent, in corners of pixels."""
    place = {"x": 100 * (x + 0.5) / 84, "y": 100 * (y + 0.5) / 60, "width": 0.3}
    return {
        "type": "keypointlabels",
        "from_name": "keypoint",
        "to_name": "image",
        "is_positive": is_positive,
        "value": place | {"keypointlabels": ["cat"]},
    }


def ask(backend, *points: dict, image="/data/upload/1/scene.png") -> dict:
    task = {"id": 7, "data": {"image": image}}
    body = {"tasks": [task], "params": {"context": {"result": list(points)}}}
    return backend.post("/predict", json=body)


def test_keypoints_become_the_mask_of_the_predictor(backend):
    predictor = Predictor(bumps, **VIEW)
    predictor.set_image(IMAGE)
    points = []
    for x, y, positive in ((42, 20, True), (75, 50, True), (4, 3, False)):
        points.append(keypoint(x, y, positive))
        mask = predictor.click(y, x, positive)
        (result,) = ask(backend, *points).json()["results"]
        (region,) = result["result"]
        assert (region["type"], region["from_name"]) == ("brushlabels", "brush")
        assert region["value"]["brushlabels"] == ["cat"]
        pixels = unpack(region["value"]["rle"], 60, 84)
        same(pixels[..., 3], mask * 255)


def test_without_keypoints_there_is_nothing(backend):
    (result,) = ask(backend).json()["results"]
    assert result["result"] == []


def test_pictures_of_elsewhere_are_not_fetched(backend):
    for image in ("http://elsewhere/scene.png", "file:///etc/passwd", "/data/none.png"):
        answer = ask(backend, keypoint(1, 1, True), image=image)
        assert answer.status_code == 400


def test_label_studio_finds_it_up(backend):
    assert backend.get("/health").json()["status"] == "UP"
    assert backend.post("/setup", json={}).json()["model_version"]
