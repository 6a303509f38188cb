import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mst_jax.annotation.files.export_formats import (
    EXPORT_FORMATS,
    LabeledMask,
    SessionExport,
)
from mst_jax.data.formats.images import encode_png
from mst_jax.data.formats.label_maps import decode_binary_mask, decode_label_map

HEIGHT, WIDTH = 7, 9
masks_strategy = arrays.arrays(bool, (HEIGHT, WIDTH)).filter(np.any)
same = np.testing.assert_array_equal


def make_export(*masks: np.ndarray) -> SessionExport:
    """Return an export of objects 2, 4, 6, ...; the first two are cats."""
    names = ["cat", "cat", "dog", "tree"]
    objects = [
        LabeledMask(2 * index + 2, names[index], "#2c82ff", mask)
        for index, mask in enumerate(masks)
    ]
    image_data = encode_png(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return SessionExport(
        *("a.png", image_data, HEIGHT, WIDTH, lambda: iter(objects), {"x": 1}),
        {"cat": 1, "dog": 2, "tree": 3, "unused": 7, "object": 9},
    )


@given(st.lists(masks_strategy, max_size=3))
def test_later_objects_cover_earlier_ones_in_the_label_map(masks):
    label_map = decode_label_map(EXPORT_FORMATS["labels"](make_export(*masks)).data)
    expected = np.zeros((HEIGHT, WIDTH), int)
    for index, mask in enumerate(masks):
        expected[mask] = 2 * index + 2
    same(label_map, expected)


def test_large_object_ids_take_16_bits():
    mask = np.ones((HEIGHT, WIDTH), bool)
    export = make_export(mask)._replace(
        iter_objects=lambda: iter([LabeledMask(300, "cat", "#000000", mask)])
    )
    label_map = decode_label_map(EXPORT_FORMATS["labels"](export).data)
    same(label_map, np.full((HEIGHT, WIDTH), 300))


@pytest.mark.parametrize("export_format", ["coco", "coco_rle"])
@given(masks=st.lists(masks_strategy, min_size=1, max_size=3))
def test_pycocotools_decodes_the_same_masks(export_format, masks):
    tree = json.loads(EXPORT_FORMATS[export_format](make_export(*masks)).data)
    for annotation, mask in zip(tree["annotations"], masks, strict=True):
        segmentation = annotation["segmentation"]
        if export_format == "coco":
            polygons = coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH)
            segmentation = coco_mask.merge(polygons)
        same(coco_mask.decode(segmentation).astype(bool), mask)
        assert annotation["area"] == mask.sum()
        box = coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask, "u1")))
        assert annotation["bbox"] == box.tolist()
        assert annotation["color"] == "#2c82ff"


@pytest.mark.parametrize("export_format", ["coco", "coco_rle"])
def test_coco_api_opens_the_file(export_format, tmp_path, capsys):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[2:5, 1:4] = True
    exported = EXPORT_FORMATS[export_format](make_export(mask, ~mask, mask))
    (tmp_path / "coco.json").write_bytes(exported.data)
    coco = COCO(tmp_path / "coco.json")
    assert coco.imgs[1]["file_name"] == "a.png"
    categories = coco.loadCats(coco.getCatIds())
    assert [(item["id"], item["name"]) for item in categories] == [
        *((1, "cat"), (2, "dog"), (3, "tree"), (7, "unused"), (9, "object")),
    ]
    assert coco.getAnnIds(catIds=[1]) == [2, 4]
    same(coco.annToMask(coco.anns[4]).astype(bool), ~mask)


def test_objects_without_a_label_have_a_category():
    mask = np.ones((HEIGHT, WIDTH), bool)
    export = make_export(mask)._replace(
        iter_objects=lambda: iter([LabeledMask(4, None, None, mask)])
    )
    tree = json.loads(EXPORT_FORMATS["coco_rle"](export).data)
    assert tree["annotations"][0]["category_id"] == 9


@given(st.lists(masks_strategy, max_size=3))
def test_numpy_file_has_a_mask_for_each_object_id(masks):
    file = np.load(io.BytesIO(EXPORT_FORMATS["numpy"](make_export(*masks)).data))
    object_ids = [str(2 * index + 2) for index in range(len(masks))]
    assert sorted(file.files) == sorted([*object_ids, "names"])
    for object_id, mask in zip(object_ids, masks, strict=True):
        same(file[object_id], mask)
    assert file["names"][:, 0].tolist() == object_ids


def test_zip_holds_all_formats():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[2:5, 1:4] = True
    export = make_export(mask)
    archive = zipfile.ZipFile(io.BytesIO(EXPORT_FORMATS["zip"](export).data))
    names = ["image.png", "state.json", "labels.png", "coco.json", "coco_rle.json"]
    assert set(archive.namelist()) == {*names, "numpy.npz", "masks/2.png"}
    assert archive.read("image.png") == export.image_data
    assert json.loads(archive.read("state.json")) == {"x": 1}
    same(decode_binary_mask(archive.read("masks/2.png")), mask)
