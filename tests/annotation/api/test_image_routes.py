from mst_jax.data.formats.images import decode_picture, encode_png
from tests.helpers.annotation_client import IMAGE


def test_the_folder_is_listed_with_thumbnails(start, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode_png(IMAGE))
    client = start(folder=tmp_path / "photos")
    assert client.get("/api/about").json()["folder"]
    listed = client.get("/api/folder").json()
    assert listed == {"pictures": [{"name": "a.png", "width": 84, "height": 60}]}
    small = client.get("/api/folder/thumbnail", params={"name": "a.png"})
    assert small.headers["content-type"] == "image/jpeg"
    assert decode_picture(small.content).shape == IMAGE.shape
    for name in ("../a.png", "b.png", ""):
        wrong = client.get("/api/folder/thumbnail", params={"name": name})
        assert wrong.status_code == 404 and wrong.json()["error"]


def test_without_a_folder_there_is_none(client):
    assert not client.get("/api/about").json()["folder"]
    assert client.get("/api/folder").status_code == 404
