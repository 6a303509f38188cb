import io

import numpy as np
import pytest
from pycocotools import mask as rle

from mst_jax.annotation.limits import Limits
from mst_jax.data.formats.images import decode_picture, encode_png, read_labels
from tests.helpers.annotation_client import IMAGE, open_picture, send

same = np.testing.assert_array_equal
SESSIONS = "/api/sessions"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "photos" / name).write_bytes(encode_png(IMAGE))
    return tmp_path / "photos"


def test_a_picture_is_opened_seen_and_closed(client):
    answer = send(client, f"{SESSIONS}?name=cat.png", encode_png(IMAGE))
    opened = answer.json()
    assert answer.status_code == 201
    assert {key: opened[key] for key in ("name", "width", "height")} == {
        **{"name": "cat.png", "width": 84, "height": 60}
    }
    address = f"{SESSIONS}/{opened['session']}"
    assert client.get(address).json() == opened | {"objects": []}
    picture = client.get(f"{address}/picture")
    assert picture.headers["content-type"] == "image/png"
    same(decode_picture(picture.content), IMAGE)
    assert client.delete(address).status_code == 204
    for method, rest in (("GET", ""), ("GET", "/picture"), ("DELETE", "")):
        answer = client.request(method, address + rest)
        assert answer.status_code == 404 and "session" in answer.json()["error"]


def test_a_label_map_becomes_objects(client):
    address = open_picture(client)
    labels = np.zeros((60, 84), np.uint8)
    labels[:10], labels[20:30] = 4, 9
    answer = send(client, f"{address}/masks", encode_png(labels))
    assert answer.status_code == 201
    for made, value in zip(answer.json()["objects"], (4, 9), strict=True):
        runs = rle.frPyObjects(made["mask"], 60, 84)
        same(rle.decode(runs).astype(bool), labels == value)


@pytest.mark.parametrize("form", ["labels", "coco", "coco_rle", "numpy", "zip"])
def test_objects_are_exported(client, form):
    address = open_picture(client)
    click = {"x": 42, "y": 20}
    client.post(f"{address}/objects/1/clicks", json=click)
    mask = client.get(f"{address}/objects/1/mask").content
    answer = client.get(f"{address}/export", params={"form": form})
    assert answer.status_code == 200
    assert "scene." in answer.headers["content-disposition"]
    mask = decode_picture(mask)[..., 0] > 0
    if form == "labels":
        same(decode_picture(answer.content)[..., 0], mask)
    if form.startswith("coco"):
        runs = answer.json()["annotations"][0]["segmentation"]
        runs = rle.merge(rle.frPyObjects(runs, 60, 84)) if form == "coco" else runs
        same(rle.decode(runs).astype(bool), mask)
    if form == "numpy":
        same(np.load(io.BytesIO(answer.content))["1"], mask)


def test_pictures_of_the_folder_are_shared_and_saved(start, folder, tmp_path):
    client = start(folder=folder, save=tmp_path / "masks")
    opened = client.post(SESSIONS, json={"picture": "a.png"}).json()
    assert client.post(SESSIONS, json={"picture": "a.png"}).json() == opened
    assert client.post(SESSIONS, json={"picture": "b.png"}).json() != opened
    address = f"{SESSIONS}/{opened['session']}"
    client.post(f"{address}/objects", json={"name": "cat"})
    client.post(f"{address}/objects/1/clicks", json={"x": 42, "y": 20})
    assert not (tmp_path / "masks").exists()
    client.patch(f"{address}/objects/1", json={"finished": True})
    mask = client.get(f"{address}/objects/1/mask").content
    mask = decode_picture(mask)[..., 0] > 0
    same(read_labels(tmp_path / "masks" / "a.png"), mask)
    client.post(f"{address}/objects/1/clicks", json={"x": 2, "y": 2})
    assert (read_labels(tmp_path / "masks" / "a.png") != mask).any()
    client.post(f"{address}/objects/1/undo")
    same(read_labels(tmp_path / "masks" / "a.png"), mask)
    client.delete(address)
    again = client.post(SESSIONS, json={"picture": "a.png"}).json()["session"]
    (found,) = client.get(f"{SESSIONS}/{again}").json()["objects"]
    assert (found["number"], found["name"], found["finished"]) == (1, "cat", True)
    assert found["area"] == mask.sum()


@pytest.mark.parametrize(
    ("kind", "data", "status"),
    [
        ("image/png", b"", 415),
        ("image/png", b"hello", 415),
        ("text/plain", encode_png(IMAGE), 415),
        ("", encode_png(IMAGE), 415),
        ("multipart/form-data", encode_png(IMAGE), 415),
        ("image/png", encode_png(np.zeros((400, 400, 3), np.uint8)), 413),
        ("image/png", bytes(2**20 + 1), 413),
        ("application/json", b"{", 422),
        ("application/json", b"[" * 100_000, 422),
        ("application/json", b"\xff", 422),
        ("application/json", b'{"picture": 3}', 422),
        ("application/json", b'{"picture": "a.png"}', 404),
    ],
    ids=range(12),
)
def test_what_cannot_be_opened_is_refused(client, kind, data, status):
    answer = send(client, SESSIONS, data, kind)
    assert answer.status_code == status and answer.json()["error"]
    assert client.get("/api/about").status_code == 200


def test_a_body_in_pieces_is_counted(client):
    answer = send(client, SESSIONS, iter([bytes(2**18)] * 5))
    assert answer.status_code == 413


def test_names_that_leave_the_folder_are_refused(start, folder, tmp_path):
    (tmp_path / "secret.png").write_bytes(encode_png(IMAGE))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    client = start(folder=folder)
    for name in ("../secret.png", "link.png", str(folder / "a.png"), "", "\0"):
        answer = client.post(SESSIONS, json={"picture": name})
        assert answer.status_code == 404, name


def test_the_limit_of_sessions(start):
    client = start(Limits(sessions=2))
    answers = [send(client, SESSIONS, encode_png(IMAGE)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert "try again later" in answers[2].json()["error"]
