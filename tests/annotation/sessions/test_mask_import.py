import io
import json
import zipfile

import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.files.run_lengths import to_coco_rle
from mst_jax.annotation.sessions.mask_import import (
    import_coco,
    import_label_maps,
    load_label_map,
)
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.data.formats.images import encode_png
from tests.helpers.annotation_client import IMAGE, SMALL_LIMITS

LABEL_MAP = np.zeros((60, 84), np.uint16)
LABEL_MAP[:10], LABEL_MAP[20:30, :40], LABEL_MAP[50:] = 7, 300, 65535
same = np.testing.assert_array_equal


@pytest.fixture
def registry(engine, database, tmp_path):
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name in ("a.png", "more/b.png"):
        (tmp_path / "photos" / name).write_bytes(encode_png(IMAGE))
    image_folder = ImageFolder(tmp_path / "photos", SMALL_LIMITS)
    return SessionRegistry(database, engine, SMALL_LIMITS, image_folder=image_folder)


def make_coco(**changes) -> bytes:
    masks = [LABEL_MAP == 7, LABEL_MAP == 300, np.zeros_like(LABEL_MAP, bool)]
    annotations = [
        {
            "id": index,
            "image_id": 5,
            "category_id": 1 + index % 2,
            "segmentation": to_coco_rle(mask),
        }
        for index, mask in enumerate(masks)
    ]
    tree = {
        "images": [
            {"id": 5, "file_name": "more/b.png", "height": 60, "width": 84},
            {"id": 6, "file_name": "unknown.png", "height": 60, "width": 84},
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "object"}],
    }
    return json.dumps(tree | changes).encode()


def test_label_map_becomes_objects(registry):
    session = registry.open_folder_image("a.png")
    session.add_object()
    added_objects = load_label_map(session, LABEL_MAP)
    assert [added.object_id for added in added_objects] == [2, 3]
    assert not added_objects[0].finished
    same(session.get_mask(2), LABEL_MAP == 7)
    same(session.get_mask(3), LABEL_MAP == 300)


def test_label_map_without_or_with_too_many_objects_is_rejected(registry):
    session = registry.open_folder_image("a.png")
    many_labels = np.arange(60 * 84).reshape(60, 84).astype(np.uint16) % 9
    with pytest.raises(RequestRejected, match="objects"):
        load_label_map(session, many_labels)
    with pytest.raises(RequestRejected, match="0 everywhere"):
        load_label_map(session, np.zeros((60, 84), np.uint16))
    assert session.objects == {}


def test_coco_file_becomes_finished_objects(registry):
    assert import_coco(registry, make_coco(), "key")[:2] == (1, 2)
    result = import_coco(registry, make_coco(), "key")  # a repeated request
    assert "unknown.png" in result.skipped[0] and len(result.skipped) == 1
    session = registry.open_folder_image("more/b.png")
    assert [session.display_name(item) for item in session.objects.values()] == [
        "cat",
        "object 2",
    ]
    assert all(item.finished for item in session.objects.values())
    same(session.get_mask(2), LABEL_MAP == 300)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"[" * 10_000, make_coco(images=[{}])]
)
def test_other_files_are_one_sentence(registry, data):
    with pytest.raises(RequestRejected, match="not a COCO file"):
        import_coco(registry, data, None)
    with pytest.raises(RequestRejected, match="not a zip file"):
        import_label_maps(registry, data, [], SMALL_LIMITS, None)


def test_damaged_annotations_are_reported_by_image(registry):
    annotation = {"id": 1, "image_id": 5, "category_id": 1, "segmentation": 3}
    result = import_coco(registry, make_coco(annotations=[annotation]), None)
    assert result[:2] == (0, 0) and "more/b.png: segmentation" in result.skipped[0]


def test_zip_of_label_maps_becomes_finished_objects(registry):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zip_archive:
        zip_archive.writestr("a.png", encode_png(LABEL_MAP))
        zip_archive.writestr(
            "more/b_1.png", encode_png((LABEL_MAP == 300) * np.uint8(9))
        )
        zip_archive.writestr("more/b_0.png", encode_png((LABEL_MAP == 7) * np.uint8(1)))
        zip_archive.writestr("more/c.png", encode_png(LABEL_MAP))
        zip_archive.writestr("../a.png", b"no image")
    names = ["a.png", "more/b.png"]
    result = import_label_maps(registry, file.getvalue(), names, SMALL_LIMITS, None)
    assert result[:2] == (2, 4) and len(result.skipped) == 2
    result = import_label_maps(registry, file.getvalue(), names, SMALL_LIMITS, "key")
    assert result[:2] == (2, 4)
    import_label_maps(registry, file.getvalue(), names, SMALL_LIMITS, "key")
    for name in names:
        session = registry.open_folder_image(name)
        assert list(session.objects) == [1, 2, 3, 4]
        for object_id in (1, 3):
            same(session.get_mask(object_id), LABEL_MAP == 7)
            same(session.get_mask(object_id + 1), LABEL_MAP == 300)


def test_label_map_named_as_the_whole_image_is_imported(registry):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zip_archive:
        zip_archive.writestr("more/b.png.png", encode_png(LABEL_MAP))
    names = ["a.png", "more/b.png"]
    result = import_label_maps(registry, file.getvalue(), names, SMALL_LIMITS, None)
    assert result[:2] == (1, 2)
