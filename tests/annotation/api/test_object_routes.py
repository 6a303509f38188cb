from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pycocotools import mask as rle

from mst_jax.data.formats.images import decode_labels, encode_png
from mst_jax.inference.predictor import Predictor
from tests.helpers.analytic_network import bumps
from tests.helpers.annotation_client import IMAGE, VIEW, open_picture, send

CLICKS = [dict(x=42, y=20), dict(x=75, y=50), dict(x=4, y=3.5, positive=False)]
same = np.testing.assert_array_equal


@pytest.fixture
def address(client):
    return open_picture(client) + "/objects/1"


def mask_of(answer) -> np.ndarray:
    """The mask in an answer that must be one."""
    assert answer.status_code == 200, answer.text
    runs = rle.frPyObjects(answer.json()["mask"], 60, 84)
    return rle.decode(runs).astype(bool)


def click(client, address, **where):
    return client.post(f"{address}/clicks", json=where)


def test_clicks_make_the_masks_of_the_predictor(client, address):
    predictor = Predictor(bumps, **VIEW)
    predictor.set_image(IMAGE)
    for one in CLICKS:
        answer = click(client, address, **one)
        want = predictor.click(one["y"], one["x"], one.get("positive", True))
        same(mask_of(answer), want)
        assert answer.json()["area"] == want.sum()
    assert answer.json()["clicks"] == [{"positive": True} | one for one in CLICKS]
    same(mask_of(client.post(f"{address}/undo")), predictor.undo())
    same(mask_of(client.post(f"{address}/redo")), predictor.redo())
    png = client.get(f"{address}/mask")
    assert png.headers["content-type"] == "image/png"
    same(decode_labels(png.content), predictor.mask * 255)
    sure = client.get(f"{address}/mask?form=probability").content
    near = decode_labels(sure) - 255.0 * predictor.prob
    assert np.abs(near).max() <= 0.5001
    same(mask_of(client.post(f"{address}/reset")), np.zeros((60, 84), bool))


def test_a_click_is_removed(client, address):
    for one in CLICKS:
        click(client, address, **one)
    removed = client.delete(f"{address}/clicks/1")
    other = client.post(address[: -len("/1")], json={}).json()["number"]
    other = address[:-1] + str(other)
    for one in (CLICKS[0], CLICKS[2]):
        answer = click(client, other, **one)
    same(mask_of(removed), mask_of(answer))
    assert removed.json()["clicks"] == answer.json()["clicks"]
    assert client.delete(f"{address}/clicks/2").status_code == 404


def test_a_mask_is_loaded_corrected_and_taken_back(client, address):
    mask = np.zeros((60, 84), np.uint8)
    mask[10:30, 20:50] = 255
    click(client, address, **CLICKS[0])
    answer = send(client, f"{address}/mask", encode_png(mask), method="PUT")
    same(mask_of(answer), mask > 0)
    assert answer.json()["clicks"] == []
    assert (mask_of(click(client, address, **CLICKS[2])) != (mask > 0)).any()
    client.post(f"{address}/undo")
    assert client.post(f"{address}/undo").json()["clicks"][0]["x"] == 42


def test_objects_are_named_finished_and_removed(client, address):
    objects = address[: -len("/1")]
    made = client.post(objects, json={"name": "cat", "colour": "#00ff00"})
    assert made.status_code == 201
    assert (made.json()["name"], made.json()["colour"]) == ("cat", "#00ff00")
    assert client.post(objects).json()["number"] == 3
    changed = client.patch(f"{objects}/2", json={"finished": True}).json()
    assert changed == made.json() | {"finished": True}
    assert client.delete(f"{objects}/1").status_code == 204
    session = client.get(objects[: -len("/objects")]).json()
    assert [one["number"] for one in session["objects"]] == [2, 3]


def test_many_who_click_at_once_get_what_they_get_alone(client):
    addresses = [open_picture(client) + "/objects/1" for _ in range(5)]

    def clicks(address: str) -> list[np.ndarray]:
        return [mask_of(click(client, address, **one)) for one in CLICKS]

    with ThreadPoolExecutor(5) as pool:
        together = list(pool.map(clicks, addresses))
    client.post(f"{addresses[0]}/reset")
    alone = clicks(addresses[0])
    for masks in together:
        same(masks, alone)


@pytest.mark.parametrize(
    ("where", "status"),
    [
        ({"x": 84, "y": 0}, 400),
        ({"x": 0, "y": -1}, 400),
        ({"x": 1e300, "y": 0}, 400),
        ({"x": "3", "y": 0}, 422),
        ({"x": None, "y": 0}, 422),
        ({"y": 0}, 422),
    ],
    ids=str,
)
def test_clicks_that_cannot_be_are_refused(client, address, where, status):
    answer = click(client, address, **where)
    assert answer.status_code == status and answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b'{"x": NaN, "y": 1}', b'{"x": 1e999, "y": 1}', b"", b"3"]
)
def test_bodies_that_are_no_click_are_refused(client, address, body):
    answer = send(client, f"{address}/clicks", body, "application/json")
    assert answer.status_code == 422 and answer.json()["error"]


def test_what_is_not_there_is_refused(client, address):
    objects = address[: -len("/1")]
    for answer in (
        click(client, f"{objects}/2", **CLICKS[0]),
        client.post(f"{objects}/0/undo"),
        client.delete(f"{objects}/-1"),
        client.get(f"{objects}/{10**30}/mask"),
        client.get(f"{address}/tokens"),
        click(client, "/api/sessions/" + "x" * 24 + "/objects/1", **CLICKS[0]),
    ):
        assert answer.status_code == 404 and answer.json()["error"]
    wrong = client.get(f"{address}/mask?form=colour")
    assert wrong.status_code == 422 and "form" in wrong.json()["error"]


@pytest.mark.parametrize(
    ("mask", "kind", "status"),
    [
        (np.zeros((60, 84), np.uint8), "image/png", 400),
        (np.ones((84, 60), np.uint8), "image/png", 400),
        (np.ones((60, 84), np.uint8), "text/plain", 415),
    ],
    ids=["empty", "turned", "text"],
)
def test_masks_that_cannot_be_are_refused(client, address, mask, kind, status):
    answer = send(client, f"{address}/mask", encode_png(mask), kind, "PUT")
    assert answer.status_code == status and answer.json()["error"]
