import zipfile

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mst_jax.annotation.files.run_lengths import encode_mask
from mst_jax.annotation.sessions.folder_export import write_folder_export
from mst_jax.annotation.store.history import AnnotatedObject, ObjectSnapshot
from mst_jax.annotation.store.labels import LabelList
from mst_jax.annotation.store.session_change import SessionChange
from mst_jax.annotation.store.storage import SessionStorage
from mst_jax.data.formats.label_maps import decode_label_map
from tests.helpers.annotation_client import insert_session

MASKS = np.random.default_rng(0).random((3, 60, 84)) < 0.2


@pytest.fixture
def labels(database):
    """Save objects in two of four images."""
    labels = LabelList(database)
    labels.choose("dog"), labels.choose("cat")
    for name in ("a.png", "b/c.png", "d.png", "upload"):
        is_upload = name == "upload"
        stem = name.removesuffix(".png")
        columns = {} if is_upload else {"folder_name": name, "output_stem": stem}
        insert_session(database, name, **columns)
    for name, masks in (
        ("a.png", MASKS[:2]),
        ("b/c.png", MASKS[2:]),
        ("upload", MASKS),
    ):
        objects = [
            AnnotatedObject(
                index + 4,
                2 if index else None,
                "#123456",
                finished=True,
                snapshots=(ObjectSnapshot(area=1),),
                saved_version=0,
            )
            for index in range(len(masks))
        ]
        saved = {index + 4: encode_mask(mask) for index, mask in enumerate(masks)}
        change = SessionChange(revision=1, objects=objects, saved_masks=saved)
        SessionStorage(database, name).commit(change)
    return labels


@pytest.mark.parametrize("export_format", ["coco", "coco_rle"])
def test_coco_file_holds_all_images(database, labels, tmp_path, capsys, export_format):
    with open(tmp_path / "coco.json", "wb") as file:
        write_folder_export(file, database, labels, export_format)
    coco = COCO(tmp_path / "coco.json")
    assert {item["file_name"] for item in coco.imgs.values()} == {"a.png", "b/c.png"}
    assert {item["id"]: item["name"] for item in coco.cats.values()} == {
        **{1: "dog", 2: "cat", 3: "object"}
    }
    assert sorted(coco.anns) == [1, 2, 3]
    for annotation, mask in zip(coco.anns.values(), MASKS, strict=True):
        np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), mask)
        assert annotation["area"] == mask.sum()
        box = coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask, "u1")))
        assert annotation["bbox"] == box.tolist()
    assert [item["category_id"] for item in coco.anns.values()] == [3, 2, 3]
    assert [item["object_id"] for item in coco.anns.values()] == [4, 5, 4]


def test_label_maps_are_named_as_the_output_files(database, labels, tmp_path):
    with open(tmp_path / "labels.zip", "wb") as file:
        write_folder_export(file, database, labels, "labels")
    zip_archive = zipfile.ZipFile(tmp_path / "labels.zip")
    assert zip_archive.namelist() == ["a.png", "b/c.png"]
    label_map = decode_label_map(zip_archive.read("a.png"))
    np.testing.assert_array_equal(label_map == 5, MASKS[1])


def test_folder_without_objects_is_an_empty_coco_file(database, tmp_path, capsys):
    with open(tmp_path / "coco.json", "wb") as file:
        write_folder_export(file, database, LabelList(database), "coco")
    assert COCO(tmp_path / "coco.json").anns == {}
