import time

import pytest

from mst_jax.data.formats.images import decode_image, encode_png
from tests.helpers.annotation_client import IMAGE
from tests.helpers.image_files import damage_pixels


def test_folder_is_listed_with_thumbnails(start_server, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode_png(IMAGE))
    client = start_server(folder=tmp_path / "photos")
    assert client.get("/api/about").json()["has_image_folder"]
    listed = client.get("/api/images").json()
    while listed["is_scanning"]:
        time.sleep(0.01)
        listed = client.get("/api/images").json()
    expected = {"name": "a.png", "width": 84, "height": 60, "status": "empty"}
    expected |= {"num_objects": 0, "session_id": None, "reason": None}
    counts = {"done": 0, "in_progress": 0, "empty": 1, "failed": 0}
    page = {"offset": 0, "total": 1, "counts": counts, "is_scanning": False}
    assert listed == {"images": [expected], **page}
    thumbnail = client.get("/api/images/thumbnail", params={"name": "a.png"})
    assert thumbnail.headers["content-type"] == "image/jpeg"
    assert decode_image(thumbnail.content).shape == IMAGE.shape
    for name in ("../a.png", "b.png", ""):
        response = client.get("/api/images/thumbnail", params={"name": name})
        assert response.status_code == 404 and response.json()["error"]


def test_server_without_a_folder_lists_nothing(client):
    assert not client.get("/api/about").json()["has_image_folder"]
    assert client.get("/api/images").status_code == 404


def test_status_follows_the_work_on_an_image(start_server, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode_png(IMAGE))
    client = start_server(folder=tmp_path / "photos")

    def read_status() -> str:
        return client.get("/api/images").json()["images"][0]["status"]

    opened = client.post("/api/sessions", json={"image": "a.png"}).json()
    objects_url = f"/api/sessions/{opened['session_id']}/objects"
    client.post(objects_url)
    assert read_status() == "empty"
    client.post(f"{objects_url}/1/clicks", json={"x": 42, "y": 20})
    assert read_status() == "in_progress"
    client.patch(f"{objects_url}/1", json={"finished": True})
    assert read_status() == "done"
    client.delete(f"{objects_url}/1")
    assert read_status() == "empty"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "offset=-1", "status=x", "search=" + "a" * 300]
)
def test_invalid_queries_are_rejected(start_server, tmp_path, query):
    client = start_server(folder=tmp_path)
    assert client.get(f"/api/images?{query}").status_code == 422


@pytest.fixture
def photos(tmp_path):
    """Write a folder with an image of damaged pixels, `a.png`, and an intact one."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(damage_pixels(encode_png(IMAGE)))
    (tmp_path / "photos" / "b.png").write_bytes(encode_png(IMAGE))
    return tmp_path / "photos"


def test_image_with_damaged_pixels_is_marked_as_failed(start_server, photos):
    client = start_server(folder=photos)
    while client.get("/api/images").json()["is_scanning"]:
        time.sleep(0.01)
    # The header is right, so the scan finds nothing.
    assert client.get("/api/images").json()["counts"]["failed"] == 0
    response = client.post("/api/sessions", json={"image": "a.png"})
    assert response.status_code == 415
    reason = response.json()["error"]
    assert reason and "\n" not in reason
    (failed,) = client.get("/api/images?status=failed").json()["images"]
    assert (failed["name"], failed["reason"]) == ("a.png", reason)
    assert client.post("/api/sessions", json={"image": "b.png"}).status_code == 201


def test_damaged_pixels_of_a_thumbnail_mark_the_image_until_it_is_mended(
    start_server, photos
):
    client = start_server(folder=photos)
    while client.get("/api/images").json()["is_scanning"]:
        time.sleep(0.01)
    assert client.get("/api/images/thumbnail?name=a.png").status_code == 415
    assert client.get("/api/images?status=failed").json()["total"] == 1
    (photos / "a.png").write_bytes(encode_png(IMAGE))
    assert client.post("/api/sessions", json={"image": "a.png"}).status_code == 201
    assert client.get("/api/images?status=failed").json()["total"] == 0
