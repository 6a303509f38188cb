import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as rle
from pycocotools.coco import COCO

from mst_jax.annotation.files.export_formats import FORMS, Export, Named
from mst_jax.data.formats.images import decode_foreground, decode_labels, encode_png

HEIGHT, WIDTH = 7, 9
masks = arrays.arrays(bool, (HEIGHT, WIDTH)).filter(np.any)
same = np.testing.assert_array_equal


def export_of(*given: np.ndarray) -> Export:
    """Objects 2, 4, 6, ...; the first two are cats."""
    names = ["cat", "cat", "dog", "tree"]
    objects = [
        Named(2 * number + 2, names[number], "#2c82ff", mask)
        for number, mask in enumerate(given)
    ]
    picture = encode_png(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return Export("a.png", picture, HEIGHT, WIDTH, lambda: iter(objects), {"x": 1})


def as_coco(data: bytes, tmp_path) -> COCO:
    (tmp_path / "coco.json").write_bytes(data)
    return COCO(tmp_path / "coco.json")


@given(st.lists(masks, max_size=3))
def test_the_label_map_has_each_object_where_no_later_one_covers_it(given):
    labels = decode_labels(FORMS["labels"](export_of(*given)).data)
    want = np.zeros((HEIGHT, WIDTH), int)
    for number, mask in enumerate(given):
        want[mask] = 2 * number + 2
    same(labels, want)


def test_many_objects_take_16_bits():
    mask = np.ones((HEIGHT, WIDTH), bool)
    export = export_of(mask)._replace(
        objects=lambda: iter([Named(300, "cat", "#000000", mask)])
    )
    same(decode_labels(FORMS["labels"](export).data), np.full((HEIGHT, WIDTH), 300))


@pytest.mark.parametrize("form", ["coco", "coco_rle"])
@given(given=st.lists(masks, min_size=1, max_size=3))
def test_coco_reads_the_masks_again(form, given):
    tree = json.loads(FORMS[form](export_of(*given)).data)
    for annotation, mask in zip(tree["annotations"], given, strict=True):
        runs = annotation["segmentation"]
        if form == "coco":
            runs = rle.merge(rle.frPyObjects(runs, HEIGHT, WIDTH))
        same(rle.decode(runs).astype(bool), mask)
        assert annotation["area"] == mask.sum()
        box = rle.toBbox(rle.encode(np.asfortranarray(mask, "u1")))
        assert annotation["bbox"] == box.tolist()


@pytest.mark.parametrize("form", ["coco", "coco_rle"])
def test_cocos_own_program_opens_the_file(form, tmp_path, capsys):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[2:5, 1:4] = True
    coco = as_coco(FORMS[form](export_of(mask, ~mask, mask)).data, tmp_path)
    assert coco.imgs[1]["file_name"] == "a.png"
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["cat", "dog"]
    assert coco.getAnnIds(catIds=[1]) == [2, 4]
    same(coco.annToMask(coco.anns[4]).astype(bool), ~mask)


@given(st.lists(masks, max_size=3))
def test_numpy_has_a_mask_for_each_number(given):
    file = np.load(io.BytesIO(FORMS["numpy"](export_of(*given)).data))
    numbers = [str(2 * number + 2) for number in range(len(given))]
    assert sorted(file.files) == sorted([*numbers, "names"])
    for number, mask in zip(numbers, given, strict=True):
        same(file[number], mask)
    assert file["names"][:, 0].tolist() == numbers


def test_the_zip_holds_all_forms():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[2:5, 1:4] = True
    export = export_of(mask)
    archive = zipfile.ZipFile(io.BytesIO(FORMS["zip"](export).data))
    names = ["picture.png", "state.json", "labels.png", "coco.json", "coco_rle.json"]
    assert set(archive.namelist()) == {*names, "numpy.npz", "masks/2.png"}
    assert archive.read("picture.png") == export.picture
    assert json.loads(archive.read("state.json")) == {"x": 1}
    same(decode_foreground(archive.read("masks/2.png")), mask)
