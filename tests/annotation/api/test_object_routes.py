from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mst_jax.data.formats.images import decode_image, encode_png
from mst_jax.data.formats.label_maps import decode_label_map
from mst_jax.inference.predictor import Predictor
from tests.helpers.analytic_network import analytic_model
from tests.helpers.annotation_client import IMAGE, ZOOM, open_image, send_bytes

CLICKS = [
    {"x": 42, "y": 20},
    {"x": 75, "y": 50},
    {"x": 4, "y": 3.5, "positive": False},
]
same = np.testing.assert_array_equal


@pytest.fixture
def object_url(client):
    return open_image(client) + "/objects/1"


def decode_mask(response) -> np.ndarray:
    """Return the mask in a response that must have one."""
    assert response.status_code == 200, response.text
    run_lengths = coco_mask.frPyObjects(response.json()["mask"], 60, 84)
    return coco_mask.decode(run_lengths).astype(bool)


def post_click(client, object_url, **click):
    return client.post(f"{object_url}/clicks", json=click)


def test_clicks_give_the_masks_of_the_predictor(client, object_url):
    predictor = Predictor(analytic_model, zoom=ZOOM)
    predictor.set_image(IMAGE)
    for click in CLICKS:
        response = post_click(client, object_url, **click)
        expected = predictor.click(click["y"], click["x"], click.get("positive", True))
        same(decode_mask(response), expected)
        assert response.json()["area"] == expected.sum()
    assert response.json()["clicks"] == [{"positive": True} | click for click in CLICKS]
    same(decode_mask(client.post(f"{object_url}/undo")), predictor.undo())
    same(decode_mask(client.post(f"{object_url}/redo")), predictor.redo())
    png = client.get(f"{object_url}/mask")
    assert png.headers["content-type"] == "image/png"
    same(decode_label_map(png.content), predictor.mask * 255)
    probability = client.get(f"{object_url}/mask?values=probability").content
    difference = decode_image(probability)[..., 0] - 255.0 * predictor.prob
    assert np.abs(difference).max() <= 0.5001
    same(decode_mask(client.post(f"{object_url}/reset")), np.zeros((60, 84), bool))


def test_removed_click_leaves_the_mask_of_the_others(client, object_url):
    for click in CLICKS:
        post_click(client, object_url, **click)
    removed = client.delete(f"{object_url}/clicks/1")
    objects_url = object_url[: -len("/1")]
    other_id = client.post(objects_url, json={}).json()["object_id"]
    for click in (CLICKS[0], CLICKS[2]):
        response = post_click(client, f"{objects_url}/{other_id}", **click)
    same(decode_mask(removed), decode_mask(response))
    assert removed.json()["clicks"] == response.json()["clicks"]
    assert client.delete(f"{object_url}/clicks/2").status_code == 404


def test_loaded_mask_is_corrected_and_undone(client, object_url):
    mask = np.zeros((60, 84), np.uint8)
    mask[10:30, 20:50] = 255
    post_click(client, object_url, **CLICKS[0])
    response = send_bytes(client, f"{object_url}/mask", encode_png(mask), method="PUT")
    same(decode_mask(response), mask > 0)
    assert response.json()["clicks"] == []
    corrected = decode_mask(post_click(client, object_url, **CLICKS[2]))
    assert (corrected != (mask > 0)).any()
    client.post(f"{object_url}/undo")
    assert client.post(f"{object_url}/undo").json()["clicks"][0]["x"] == 42


def test_objects_are_named_finished_and_removed(client, object_url):
    objects_url = object_url[: -len("/1")]
    created = client.post(objects_url, json={"name": "cat", "color": "#00ff00"})
    assert created.status_code == 201
    assert (created.json()["name"], created.json()["color"]) == ("cat", "#00ff00")
    assert client.post(objects_url).json()["object_id"] == 3
    changed = client.patch(f"{objects_url}/2", json={"finished": True}).json()
    new_revision = {"revision": changed["revision"]}
    assert changed == created.json() | {"finished": True} | new_revision
    assert client.delete(f"{objects_url}/1").status_code == 204
    session = client.get(objects_url[: -len("/objects")]).json()
    assert [item["object_id"] for item in session["objects"]] == [2, 3]


def test_concurrent_users_get_the_masks_of_single_users(client):
    object_urls = [open_image(client) + "/objects/1" for _ in range(5)]

    def click_masks(object_url: str) -> list[np.ndarray]:
        return [
            decode_mask(post_click(client, object_url, **click)) for click in CLICKS
        ]

    with ThreadPoolExecutor(5) as pool:
        concurrent_masks = list(pool.map(click_masks, object_urls))
    client.post(f"{object_urls[0]}/reset")
    single_masks = click_masks(object_urls[0])
    for masks in concurrent_masks:
        same(masks, single_masks)


def test_removed_object_is_restored(client, object_url):
    mask = decode_mask(post_click(client, object_url, **CLICKS[0]))
    assert client.delete(object_url).status_code == 204
    assert client.delete(object_url).status_code == 404
    restored = client.post(f"{object_url}/restore")
    same(decode_mask(restored), mask)
    assert restored.json()["clicks"] == [{"positive": True} | CLICKS[0]]


def test_repeated_click_is_applied_once(client, object_url):
    headers = {"idempotency-key": "k"}
    for _ in range(2):
        response = client.post(f"{object_url}/clicks", json=CLICKS[0], headers=headers)
        assert len(response.json()["clicks"]) == 1


@pytest.mark.parametrize(
    ("click", "status"),
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
def test_invalid_clicks_are_rejected(client, object_url, click, status):
    response = post_click(client, object_url, **click)
    assert response.status_code == status and response.json()["error"]


@pytest.mark.parametrize(
    "body", [b'{"x": NaN, "y": 1}', b'{"x": 1e999, "y": 1}', b"", b"3"]
)
def test_bodies_that_are_no_clicks_are_rejected(client, object_url, body):
    response = send_bytes(client, f"{object_url}/clicks", body, "application/json")
    assert response.status_code == 422 and response.json()["error"]


def test_unknown_objects_and_sessions_are_rejected(client, object_url):
    objects_url = object_url[: -len("/1")]
    for response in (
        post_click(client, f"{objects_url}/2", **CLICKS[0]),
        client.post(f"{objects_url}/0/undo"),
        client.delete(f"{objects_url}/-1"),
        client.get(f"{objects_url}/{10**30}/mask"),
        client.get(f"{object_url}/tokens"),
        post_click(client, "/api/sessions/" + "x" * 24 + "/objects/1", **CLICKS[0]),
    ):
        assert response.status_code == 404 and response.json()["error"]
    response = client.get(f"{object_url}/mask?values=color")
    assert response.status_code == 422 and "values" in response.json()["error"]


@pytest.mark.parametrize(
    ("mask", "content_type", "status"),
    [
        (np.zeros((60, 84), np.uint8), "image/png", 400),
        (np.ones((84, 60), np.uint8), "image/png", 400),
        (np.ones((60, 84), np.uint8), "text/plain", 415),
    ],
    ids=["empty", "transposed", "text"],
)
def test_invalid_masks_are_rejected(client, object_url, mask, content_type, status):
    response = send_bytes(
        client, f"{object_url}/mask", encode_png(mask), content_type, "PUT"
    )
    assert response.status_code == status and response.json()["error"]
