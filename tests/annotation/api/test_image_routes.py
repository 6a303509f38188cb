from mst_jax.data.formats.images import decode_image, encode_png
from tests.helpers.annotation_client import IMAGE


def test_folder_is_listed_with_thumbnails(start_server, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode_png(IMAGE))
    client = start_server(folder=tmp_path / "photos")
    assert client.get("/api/about").json()["has_image_folder"]
    listed = client.get("/api/images").json()
    assert listed == {"images": [{"name": "a.png", "width": 84, "height": 60}]}
    thumbnail = client.get("/api/images/thumbnail", params={"name": "a.png"})
    assert thumbnail.headers["content-type"] == "image/jpeg"
    assert decode_image(thumbnail.content).shape == IMAGE.shape
    for name in ("../a.png", "b.png", ""):
        response = client.get("/api/images/thumbnail", params={"name": name})
        assert response.status_code == 404 and response.json()["error"]


def test_server_without_a_folder_lists_nothing(client):
    assert not client.get("/api/about").json()["has_image_folder"]
    assert client.get("/api/images").status_code == 404
