"""The server and `prepare folder` read the masks of an image folder in the same way."""

import json
import time

import numpy as np

from mst_jax.data.builders.folder import Folder
from mst_jax.data.formats.images import encode_png
from tests.helpers.annotation_client import IMAGE, send_bytes
from tests.helpers.image_files import write_image
from tests.helpers.prepare_dataset import prepare_dataset

HEIGHT, WIDTH = IMAGE.shape[:2]
DEADLINE_SECONDS = 10


def rectangle(top, left, bottom, right):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


LARGE, INSIDE, APART = (
    rectangle(5, 5, 30, 40),
    rectangle(10, 10, 20, 20),
    rectangle(40, 50, 55, 80),
)


def annotate(client, image_name, masks):
    """Save masks as finished objects of an image of the folder."""
    opened = client.post("/api/sessions", json={"image": image_name}).json()
    url = f"/api/sessions/{opened['session_id']}/objects"
    for mask in masks:
        object_id = client.post(url, json={}).json()["object_id"]
        data = encode_png(mask * np.uint8(255))
        response = send_bytes(client, f"{url}/{object_id}/mask", data, method="PUT")
        assert response.status_code == 200, response.text
        client.patch(f"{url}/{object_id}", json={"finished": True})


def wait_for(path, num_objects):
    """Wait until the server has written so many objects to a COCO file."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if path.exists():
            annotations = json.loads(path.read_bytes())["annotations"]
            if len(annotations) == num_objects:
                return
        time.sleep(0.02)
    raise AssertionError(f"{path} has no {num_objects} objects")


def test_saved_objects_are_prepared_whole(start_server, tmp_path):
    """Sub-folders, overlaps, and images that are not annotated yet."""
    source = tmp_path / "mine"
    for name in ("a.png", "sub/b.png", "sub/later.png"):
        write_image(source / "images" / name, IMAGE)
    client = start_server(folder=source / "images", save=source / "masks")
    annotate(client, "sub/b.png", [APART])
    annotate(client, "a.png", [INSIDE, LARGE, APART])
    wait_for(source / "masks" / "sub" / "b.json", 1)
    wait_for(source / "masks" / "a.json", 3)
    splits, errors = prepare_dataset(Folder, source, tmp_path / "data")
    examples = splits["train"]
    assert sorted(examples) == ["a", "sub/b"] and not errors.messages
    assert errors.skip_counts == {"images that are not annotated": 1}
    np.testing.assert_array_equal(examples["sub/b"].layers, [APART])
    # The later, larger object covers the first one in the label map, not here.
    expected = [INSIDE * np.uint16(1) + APART * np.uint16(3), LARGE * np.uint16(2)]
    np.testing.assert_array_equal(examples["a"].layers, expected)


def test_masks_for_prepare_become_objects_and_are_prepared_again(
    start_server, tmp_path
):
    """Layers, formats, sub-folders, and an image that is named as a layer."""
    source = tmp_path / "mine"
    for name in ("a.png", "a_1.bmp", "sub/b.png"):
        write_image(source / "images" / name, IMAGE)
    first_layer = INSIDE * np.uint16(7) + APART * np.uint16(300)
    write_image(source / "masks" / "a_0.png", first_layer)
    write_image(source / "masks" / "a_2.tif", LARGE * np.uint16(7))
    write_image(source / "masks" / "a_1.png", APART * np.uint8(1))
    write_image(source / "masks" / "sub" / "b.bmp", LARGE * np.uint8(5))
    splits, _ = prepare_dataset(Folder, source, tmp_path / "before")
    before = splits["train"]
    client = start_server(folder=source / "images", save=source / "masks")
    for image_name, object_ids in (
        ("a.png", [1, 7, 300]),
        ("a_1.bmp", [1]),
        ("sub/b.png", [5]),
    ):
        opened = client.post("/api/sessions", json={"image": image_name}).json()
        session = client.get(f"/api/sessions/{opened['session_id']}").json()
        assert [item["object_id"] for item in session["objects"]] == object_ids
    annotate(client, "a.png", [rectangle(0, 70, 4, 84)])
    annotate(client, "sub/b.png", [INSIDE])
    wait_for(source / "masks" / "a.json", 4)
    wait_for(source / "masks" / "sub" / "b.json", 2)
    splits, errors = prepare_dataset(Folder, source, tmp_path / "after")
    after = splits["train"]
    assert sorted(before) == sorted(after) == ["a", "a_1", "sub/b"]
    assert not errors.messages
    masks_before, masks_after = (
        {
            (layer == label).tobytes()
            for layer in examples["a"].layers
            for label in np.unique(layer)
            if label
        }
        for examples in (before, after)
    )
    assert masks_before < masks_after and len(masks_after) == 4
    np.testing.assert_array_equal(after["a_1"].layers, before["a_1"].layers)
