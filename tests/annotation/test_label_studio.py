"""The example backend, with the requests that Label Studio sends."""

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
from tests.helpers.analytic_network import analytic_model
from tests.helpers.annotation_client import IMAGE, ZOOM

EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples/label_studio.py"))
same = np.testing.assert_array_equal


def decode_brush(data: list[int], height: int, width: int) -> np.ndarray:
    """Decode brush bytes bit by bit, as Label Studio's page does."""
    stream = iter("".join(f"{byte:08b}" for byte in data))

    def read_bits(num_bits: int) -> int:
        return int("".join(next(stream) for _ in range(num_bits)), 2)

    num_values, word_size = read_bits(32), read_bits(5) + 1
    length_sizes = [read_bits(4) + 1 for _ in range(4)]
    values = []
    while len(values) < num_values:
        assert read_bits(1) == 1  # a run
        length = read_bits(length_sizes[read_bits(2)]) + 1
        values += [read_bits(word_size)] * length
    return np.array(values).reshape(height, width, 4)


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_encoded_brush_is_decoded_again(mask):
    pixels = decode_brush(EXAMPLE["encode_brush"](mask), *mask.shape)
    same(pixels, np.repeat(mask[..., None], 4, axis=-1) * 255)


def test_long_runs_are_split():
    mask = np.ones((150, 200), bool)
    pixels = decode_brush(EXAMPLE["encode_brush"](mask), 150, 200)
    same(pixels[..., 3], mask * 255)


@pytest.fixture
def label_studio():
    """Return a client of a Label Studio with one image."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        if request.url.path != "/data/upload/1/scene.png":
            return httpx2.Response(404)
        headers = {"content-type": "image/png"}
        return httpx2.Response(200, content=encode_png(IMAGE), headers=headers)

    return httpx2.Client(
        transport=httpx2.MockTransport(respond), base_url="http://studio:8080"
    )


@pytest.fixture
def backend(client, label_studio):
    backend = EXAMPLE["Backend"](client, label_studio)
    return TestClient(EXAMPLE["make_app"](backend))


def make_keypoint(x: float, y: float, is_positive: bool) -> dict:
    """Return a keypoint as the page sends it: percent, in pixel corners."""
    position = {"x": 100 * (x + 0.5) / 84, "y": 100 * (y + 0.5) / 60, "width": 0.3}
    return {
        "type": "keypointlabels",
        "from_name": "keypoint",
        "to_name": "image",
        "is_positive": is_positive,
        "value": position | {"keypointlabels": ["cat"]},
    }


def post_predict(backend, *keypoints: dict, image="/data/upload/1/scene.png"):
    task = {"id": 7, "data": {"image": image}}
    body = {"tasks": [task], "params": {"context": {"result": list(keypoints)}}}
    return backend.post("/predict", json=body)


def test_keypoints_become_the_mask_of_the_predictor(backend):
    predictor = Predictor(analytic_model, zoom=ZOOM)
    predictor.set_image(IMAGE)
    keypoints = []
    for x, y, positive in ((42, 20, True), (75, 50, True), (4, 3, False)):
        keypoints.append(make_keypoint(x, y, positive))
        mask = predictor.click(y, x, positive)
        (prediction,) = post_predict(backend, *keypoints).json()["results"]
        (brush,) = prediction["result"]
        assert (brush["type"], brush["from_name"]) == ("brushlabels", "brush")
        assert brush["value"]["brushlabels"] == ["cat"]
        pixels = decode_brush(brush["value"]["rle"], 60, 84)
        same(pixels[..., 3], mask * 255)


def test_no_keypoints_give_no_result(backend):
    (prediction,) = post_predict(backend).json()["results"]
    assert prediction["result"] == []


def test_images_of_other_servers_are_not_fetched(backend):
    for image in ("http://elsewhere/scene.png", "file:///etc/passwd", "/data/none.png"):
        response = post_predict(backend, make_keypoint(1, 1, True), image=image)
        assert response.status_code == 400


def test_backend_reports_its_health(backend):
    assert backend.get("/health").json()["status"] == "UP"
    assert backend.post("/setup", json={}).json()["model_version"]
