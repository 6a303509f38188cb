import io
import time

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mst_jax.annotation.limits import Limits
from mst_jax.data.formats.images import decode_image, encode_png
from mst_jax.data.formats.label_maps import read_label_map
from tests.helpers.annotation_client import IMAGE, open_image, send_bytes
from tests.helpers.image_files import draw_soft_mask

same = np.testing.assert_array_equal
SESSIONS_URL = "/api/sessions"


@pytest.fixture
def image_dir(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "photos" / name).write_bytes(encode_png(IMAGE))
    return tmp_path / "photos"


def test_image_is_opened_read_and_closed(client):
    response = send_bytes(client, f"{SESSIONS_URL}?name=cat.png", encode_png(IMAGE))
    opened = response.json()
    assert response.status_code == 201
    assert {key: opened[key] for key in ("image_name", "width", "height")} == {
        **{"image_name": "cat.png", "width": 84, "height": 60}
    }
    session_url = f"{SESSIONS_URL}/{opened['session_id']}"
    assert opened["remarks"] == []
    assert client.get(session_url).json() == opened | {
        **{"objects": [], "revision": 0, "is_exported": True, "save_error": None}
    }
    thumbnail = client.get(f"{session_url}/thumbnail")
    assert decode_image(thumbnail.content).shape == (60, 84, 3)
    image = client.get(f"{session_url}/image")
    assert image.headers["content-type"] == "image/png"
    same(decode_image(image.content), IMAGE)
    assert client.delete(session_url).status_code == 204
    for method, path in (("GET", ""), ("GET", "/image"), ("DELETE", "")):
        response = client.request(method, session_url + path)
        assert response.status_code == 404 and "session" in response.json()["error"]


def test_unusual_images_are_opened_with_remarks(start_server, image_dir):
    transparent = np.dstack([IMAGE, np.full(IMAGE.shape[:2], 90, np.uint8)])
    png, tiff = io.BytesIO(), io.BytesIO()
    Image.fromarray(transparent).save(png, "PNG")
    transparent_png = png.getvalue()
    pages = [Image.fromarray(IMAGE), Image.fromarray(255 - IMAGE)]
    pages[0].save(tiff, "TIFF", save_all=True, append_images=pages[1:])
    (image_dir / "a.png").write_bytes(transparent_png)
    client = start_server(folder=image_dir)
    headers = {"idempotency-key": "upload-1", "content-type": "image/png"}
    responses = [
        client.post(SESSIONS_URL, content=transparent_png, headers=headers),
        client.post(SESSIONS_URL, content=transparent_png, headers=headers),
        client.post(SESSIONS_URL, json={"image": "a.png"}),
        client.post(SESSIONS_URL, json={"image": "a.png"}),
    ]
    assert [response.status_code for response in responses] == [201] * 4
    for response in responses:
        assert response.json()["remarks"] == ["transparency is composed on white"]
        session_url = f"{SESSIONS_URL}/{response.json()['session_id']}"
        session = client.get(session_url).json()
        assert session["remarks"] == response.json()["remarks"]
    assert responses[0].json() == responses[1].json()
    (remark,) = send_bytes(client, SESSIONS_URL, tiff.getvalue()).json()["remarks"]
    assert "2 pages" in remark and "page 1" in remark
    stretched = encode_png(np.linspace(0, 1000, 400).reshape(20, 20).astype(np.uint16))
    (remark,) = send_bytes(client, SESSIONS_URL, stretched).json()["remarks"]
    assert "more than 8 bits" in remark


def test_label_map_becomes_objects(client):
    session_url = open_image(client)
    label_map = np.zeros((60, 84), np.uint8)
    label_map[:10], label_map[20:30] = 4, 9
    response = send_bytes(client, f"{session_url}/label-map", encode_png(label_map))
    assert response.status_code == 201
    for added, label in zip(response.json()["objects"], (4, 9), strict=True):
        run_lengths = coco_mask.frPyObjects(added["mask"], 60, 84)
        same(coco_mask.decode(run_lengths).astype(bool), label_map == label)


@pytest.mark.parametrize("binarize", ["true", "1"])
def test_smoothed_masks_are_refused_or_binarized(client, binarize):
    session_url = open_image(client)
    soft_png = encode_png(draw_soft_mask())
    urls = (
        ("POST", f"{session_url}/label-map"),
        ("PUT", f"{session_url}/objects/1/mask"),
    )
    for method, url in urls:
        refused = send_bytes(client, url, soft_png, method=method)
        assert refused.status_code == 415
        assert refused.json()["retry_with"] == "binarize=true"
        assert "looks smoothed" in refused.json()["error"]
        assert "binarize=true" in refused.json()["error"]
        assert "--" not in refused.json()["error"]
        url = f"{url}?binarize={binarize}"
        assert send_bytes(client, url, soft_png, method=method).is_success
    objects = client.get(session_url).json()["objects"]
    assert [item["object_id"] for item in objects] == [1, 2]
    for item in objects:
        run_lengths = coco_mask.frPyObjects(item["mask"], 60, 84)
        same(coco_mask.decode(run_lengths).astype(bool), draw_soft_mask() > 127)
    url = f"{session_url}/label-map?binarize=perhaps"
    assert send_bytes(client, url, soft_png).status_code == 422


@pytest.mark.parametrize(
    "export_format", ["labels", "coco", "coco_rle", "numpy", "zip"]
)
def test_objects_are_exported(client, export_format):
    session_url = open_image(client)
    click = {"x": 42, "y": 20}
    client.post(f"{session_url}/objects/1/clicks", json=click)
    mask = client.get(f"{session_url}/objects/1/mask").content
    params = {"format": export_format}
    response = client.get(f"{session_url}/export", params=params)
    assert response.status_code == 200
    assert "scene." in response.headers["content-disposition"]
    mask = decode_image(mask)[..., 0] > 0
    if export_format == "labels":
        same(decode_image(response.content)[..., 0], mask)
    if export_format.startswith("coco"):
        segmentation = response.json()["annotations"][0]["segmentation"]
        if export_format == "coco":
            polygons = coco_mask.frPyObjects(segmentation, 60, 84)
            segmentation = coco_mask.merge(polygons)
        same(coco_mask.decode(segmentation).astype(bool), mask)
    if export_format == "numpy":
        same(np.load(io.BytesIO(response.content))["1"], mask)


def test_unknown_export_format_is_rejected(client):
    session_url = open_image(client)
    response = client.get(f"{session_url}/export?format=tiff")
    assert response.status_code == 422 and "format" in response.json()["error"]


def wait_for_export(client, session_url) -> None:
    deadline = time.monotonic() + 10
    while not client.get(f"{session_url}/changes").json()["is_exported"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_folder_images_are_shared_and_saved(start_server, image_dir, tmp_path):
    client = start_server(folder=image_dir, save=tmp_path / "masks")
    opened = client.post(SESSIONS_URL, json={"image": "a.png"}).json()
    assert client.post(SESSIONS_URL, json={"image": "a.png"}).json() == opened
    assert opened["remarks"] == []
    assert client.post(SESSIONS_URL, json={"image": "b.png"}).json() != opened
    session_url = f"{SESSIONS_URL}/{opened['session_id']}"
    client.post(f"{session_url}/objects", json={"name": "cat"})
    client.post(f"{session_url}/objects/1/clicks", json={"x": 42, "y": 20})
    assert not (tmp_path / "masks").exists()
    client.patch(f"{session_url}/objects/1", json={"finished": True})
    mask = client.get(f"{session_url}/objects/1/mask").content
    mask = decode_image(mask)[..., 0] > 0
    wait_for_export(client, session_url)
    same(read_label_map(tmp_path / "masks" / "a.png"), mask)
    client.post(f"{session_url}/objects/1/clicks", json={"x": 2, "y": 2})
    wait_for_export(client, session_url)
    assert (read_label_map(tmp_path / "masks" / "a.png") != mask).any()
    client.post(f"{session_url}/objects/1/undo")
    wait_for_export(client, session_url)
    same(read_label_map(tmp_path / "masks" / "a.png"), mask)
    assert client.delete(session_url).status_code == 409
    reopened = start_server(folder=image_dir, save=tmp_path / "masks")
    again = reopened.post(SESSIONS_URL, json={"image": "a.png"}).json()
    assert again == opened
    (restored,) = reopened.get(session_url).json()["objects"]
    assert (restored["object_id"], restored["name"]) == (1, "cat")
    assert restored["finished"] and restored["area"] == mask.sum()


def test_changes_after_a_revision_are_returned(client):
    session_url = open_image(client)
    first = client.get(f"{session_url}/changes").json()
    assert first["object_ids"] == [1] and len(first["objects"]) == 1
    client.post(f"{session_url}/objects")
    client.post(f"{session_url}/objects/2/clicks", json={"x": 42, "y": 20})
    params = {"since": first["revision"]}
    changes = client.get(f"{session_url}/changes", params=params).json()
    assert [item["object_id"] for item in changes["objects"]] == [2]
    assert changes["object_ids"] == [1, 2]
    client.delete(f"{session_url}/objects/1")
    params = {"since": changes["revision"]}
    changes = client.get(f"{session_url}/changes", params=params).json()
    assert changes["objects"] == [] and changes["object_ids"] == [2]
    params = {"since": 10**6}
    changes = client.get(f"{session_url}/changes", params=params).json()
    assert len(changes["objects"]) == 1


def test_repeated_requests_are_applied_once(client):
    headers = {"idempotency-key": "upload-1", "content-type": "image/png"}
    urls = set()
    for _ in range(2):
        response = client.post(SESSIONS_URL, content=encode_png(IMAGE), headers=headers)
        assert response.status_code == 201
        urls.add(f"{SESSIONS_URL}/{response.json()['session_id']}")
    (session_url,) = urls
    label_map = np.zeros((60, 84), np.uint8)
    label_map[:10], label_map[20:30] = 4, 9
    for _ in range(2):
        headers["idempotency-key"] = "labels"
        response = client.post(
            f"{session_url}/label-map", content=encode_png(label_map), headers=headers
        )
        assert [item["object_id"] for item in response.json()["objects"]] == [1, 2]
    for _ in range(2):
        response = client.delete(
            f"{session_url}/objects/1", headers={"idempotency-key": "delete"}
        )
        assert response.status_code == 204
    assert client.get(f"{session_url}/changes").json()["object_ids"] == [2]
    headers = {"idempotency-key": "not a key"}
    assert client.post(f"{session_url}/objects", headers=headers).status_code == 422


@pytest.mark.parametrize(
    ("content_type", "data", "status"),
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
        ("application/json", b'{"image": 3}', 422),
        ("application/json", b'{"image": "a.png"}', 404),
    ],
    ids=range(12),
)
def test_invalid_images_are_rejected(client, content_type, data, status):
    response = send_bytes(client, SESSIONS_URL, data, content_type)
    assert response.status_code == status and response.json()["error"]
    assert client.get("/api/about").status_code == 200


def test_chunked_body_is_counted(client):
    response = send_bytes(client, SESSIONS_URL, iter([bytes(2**18)] * 5))
    assert response.status_code == 413


def test_names_that_lead_out_of_the_folder_are_rejected(
    start_server, image_dir, tmp_path
):
    (tmp_path / "secret.png").write_bytes(encode_png(IMAGE))
    (image_dir / "link.png").symlink_to(tmp_path / "secret.png")
    client = start_server(folder=image_dir)
    for name in ("../secret.png", "link.png", str(image_dir / "a.png"), "", "\0"):
        response = client.post(SESSIONS_URL, json={"image": name})
        assert response.status_code == 404, name


def test_number_of_sessions_is_limited(start_server):
    client = start_server(Limits(max_sessions=2))
    responses = [send_bytes(client, SESSIONS_URL, encode_png(IMAGE)) for _ in range(3)]
    # The first one has no objects, so it makes room for the third.
    assert [response.status_code for response in responses] == [201, 201, 201]
    urls = [f"{SESSIONS_URL}/{item.json()['session_id']}" for item in responses]
    assert [client.get(url).status_code for url in urls] == [404, 200, 200]
