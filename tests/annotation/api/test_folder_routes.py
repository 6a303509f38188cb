import io
import time
import zipfile

import numpy as np
import pytest

from mst_jax.annotation.files.run_lengths import to_coco_rle
from mst_jax.data.formats.images import encode_png
from mst_jax.data.formats.label_maps import decode_label_map
from tests.helpers.annotation_client import IMAGE, open_image, send_bytes
from tests.helpers.image_files import draw_soft_mask

MASK = np.zeros((60, 84), bool)
MASK[10:30, 20:50] = True


@pytest.fixture
def folder_client(start_server, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "photos" / name).write_bytes(encode_png(IMAGE))
    return start_server(folder=tmp_path / "photos", save=tmp_path / "masks")


def make_coco() -> dict:
    return {
        "images": [{"id": 1, "file_name": "b.png"}],
        "annotations": [
            {"image_id": 1, "category_id": 3, "segmentation": to_coco_rle(MASK)}
        ],
        "categories": [{"id": 3, "name": "cat"}],
    }


def test_imported_folder_is_exported(folder_client):
    imported = folder_client.post("/api/import", json=make_coco())
    assert imported.json() == {
        **{"num_images": 1, "num_objects": 1, "skipped": [], "num_smoothed": 0}
    }
    for export_format in ("coco", "coco_rle"):
        exported = folder_client.get(f"/api/export?format={export_format}")
        assert exported.headers["content-type"] == "application/json"
        (annotation,) = exported.json()["annotations"]
        assert annotation["area"] == MASK.sum()
    assert annotation["segmentation"] == to_coco_rle(MASK)
    exported = folder_client.get("/api/export?format=labels")
    zip_archive = zipfile.ZipFile(io.BytesIO(exported.content))
    label_map = decode_label_map(zip_archive.read("b.png"))
    np.testing.assert_array_equal(label_map, MASK)
    headers = {"content-type": "application/zip"}
    again = folder_client.post("/api/import", content=exported.content, headers=headers)
    assert again.json()["num_objects"] == 1
    statuses = folder_client.get("/api/images").json()["counts"]
    assert statuses == {"done": 1, "in_progress": 0, "empty": 1, "failed": 0}


def test_exported_label_maps_without_save_are_imported_again(start_server, tmp_path):
    # Images that differ in the suffix only, and one named as the label map of another.
    masks = {"scene 0.png": 1, "a.jpg": 2, "a.png": 3, "b/a.png": 4, "x.png.png": 5}
    for name in (*masks, "x.png", "c.bmp", "c.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(IMAGE))
    masks["c.png"] = 6  # `c.bmp` has no objects
    zip_bytes = io.BytesIO()
    with zipfile.ZipFile(zip_bytes, "w") as zip_archive:
        for name, area in masks.items():
            label_map = np.zeros((60, 84), np.uint8)
            label_map[0, :area] = 1
            zip_archive.writestr(f"{name}.png", encode_png(label_map))
    client = start_server(folder=tmp_path / "photos")
    first = import_zip(client, zip_bytes.getvalue(), key="first")
    assert first["num_objects"] == 6 and first["skipped"] == []
    exported = read_label_export(client)
    names = zipfile.ZipFile(io.BytesIO(exported)).namelist()
    assert sorted(names) == [
        *("a.png", "a.png.png", "b/a.png", "c.png.png", "scene 0.png", "x.png.png.png"),
    ]
    again = import_zip(client, exported, key="again")
    assert again["num_objects"] == 6 and again["skipped"] == []
    coco = client.get("/api/export?format=coco_rle").json()
    file_names = {item["id"]: item["file_name"] for item in coco["images"]}
    areas = [
        (file_names[item["image_id"]], item["area"]) for item in coco["annotations"]
    ]
    assert sorted(areas) == sorted([*masks.items(), *masks.items()])


def test_smoothed_label_maps_of_a_zip_are_skipped_or_binarized(folder_client):
    zip_bytes = io.BytesIO()
    with zipfile.ZipFile(zip_bytes, "w") as zip_archive:
        zip_archive.writestr("a.png", encode_png(MASK.astype(np.uint8)))
        zip_archive.writestr("b.png", encode_png(draw_soft_mask()))
    result = import_zip(folder_client, zip_bytes.getvalue(), key="k1")
    assert (result["num_objects"], result["num_smoothed"]) == (1, 1)
    (sentence,) = result["skipped"]
    assert sentence.startswith("b.png: the mask looks smoothed")
    assert "binarize=true" in sentence
    # Repeated with the same key, the first image gets no second object.
    result = import_zip(folder_client, zip_bytes.getvalue(), "?binarize=true", "k1")
    assert (result["num_objects"], result["num_smoothed"]) == (2, 0)
    exported = zipfile.ZipFile(io.BytesIO(read_label_export(folder_client)))
    label_map = decode_label_map(exported.read("b.png"))
    np.testing.assert_array_equal(label_map, draw_soft_mask() > 127)
    coco = folder_client.get("/api/export?format=coco_rle").json()
    assert len(coco["annotations"]) == 2


def import_zip(client, data: bytes, query: str = "", key: str = "key") -> dict:
    headers = {"content-type": "application/zip", "idempotency-key": key}
    response = client.post(f"/api/import{query}", content=data, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def read_label_export(client) -> bytes:
    while client.get("/api/images").json()["is_scanning"]:
        time.sleep(0.01)
    return client.get("/api/export?format=labels").content


def test_import_needs_a_folder_and_a_known_content_type(client, folder_client):
    response = send_bytes(folder_client, "/api/import", b"", "text/plain")
    assert response.status_code == 415


def test_export_and_import_need_a_folder(client):
    assert client.get("/api/export?format=coco").status_code == 404
    assert client.post("/api/import", json=make_coco()).status_code == 404
    assert client.get("/api/images").status_code == 404


def test_labels_are_added_by_naming_and_renamed(client):
    session_url = open_image(client)
    named = client.patch(f"{session_url}/objects/1", json={"name": "cat"}).json()
    assert (named["name"], named["category_id"]) == ("cat", 1)
    labels = client.get("/api/labels").json()
    assert labels == {"labels": [{"id": 1, "name": "cat"}], "is_fixed": False}
    body = {"labels": [{"name": "dog"}, {"id": 1, "name": "kitten"}]}
    changed = client.put("/api/labels", json=body).json()["labels"]
    assert changed == [{"id": 2, "name": "dog"}, {"id": 1, "name": "kitten"}]
    (renamed,) = client.get(session_url).json()["objects"]
    assert renamed["name"] == "kitten"
    body = {"labels": [{"name": "dog"}]}
    assert client.put("/api/labels", json=body).status_code == 409
    assert client.put("/api/labels", json={"labels": [{}]}).status_code == 422


def test_fixed_labels_are_the_only_ones(start_server):
    client = start_server(fixed_labels=["dog", "cat"])
    session_url = open_image(client)
    response = client.patch(f"{session_url}/objects/1", json={"name": "cow"})
    assert response.status_code == 400 and "dog, cat" in response.json()["error"]
    named = client.patch(f"{session_url}/objects/1", json={"name": "cat"}).json()
    assert named["category_id"] == 2
    assert client.get("/api/labels").json()["is_fixed"]
    assert client.put("/api/labels", json={"labels": []}).status_code == 409
