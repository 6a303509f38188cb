import numpy as np
import pytest

from mst_jax.data.builders.coco_json import CocoJson
from tests.helpers.coco_files import (
    PART,
    WHOLE,
    polygon,
    run_lengths,
    write_blank,
    write_coco,
)
from tests.helpers.prepare_dataset import prepare


def test_polygons_and_run_lengths_become_layers_and_parts(tmp_path):
    write_coco(
        tmp_path / "s" / "labels.json",
        {
            "a.jpg": [run_lengths(PART), polygon(WHOLE)],
            "b.jpg": [polygon(PART)],
            "c.jpg": [],
        },
    )
    for name in ("a", "b", "c"):
        write_blank(tmp_path / "s" / "images" / f"{name}.jpg")
    splits, faults = prepare(
        CocoJson, tmp_path / "s", tmp_path / "data", variant="mine"
    )
    found = splits["train"]
    assert sorted(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"].layers, [WHOLE, PART])
    np.testing.assert_array_equal(found["a"].parts, [(1, 1, 0, 1)])
    np.testing.assert_array_equal(found["b"].layers, [PART])
    assert faults.remarks == {"pictures without an object": 1}


@pytest.mark.parametrize(
    ("files", "pictures"),
    [
        (
            {
                "annotations/instances_train2017.json",
                "annotations/instances_val2017.json",
            },
            ("train2017", "val2017"),
        ),
        (
            {"train/_annotations.coco.json", "valid/_annotations.coco.json"},
            ("train", "valid"),
        ),
    ],
)
def test_splits_by_name_with_pictures_where_tools_put_them(files, pictures, tmp_path):
    root = tmp_path / "s"
    for file in files:
        name = "1.jpg" if "train" in file else "2.jpg"
        write_coco(root / file, {name: [polygon(WHOLE)]})
    write_blank(root / pictures[0] / "1.jpg")
    write_blank(root / pictures[1] / "2.jpg")
    (root / "annotations").mkdir(exist_ok=True)
    if "train2017" in pictures:
        (root / "annotations" / "captions_train2017.json").write_text("{}")
    splits, _ = prepare(CocoJson, root, tmp_path / "data")
    assert {s: list(found) for s, found in splits.items()} == {
        "train": ["1"],
        "val": ["2"],
    }


def test_what_is_wrong_is_named(tmp_path):
    root = tmp_path / "s"
    bad = {"size": [20, 30], "counts": [1]}
    write_coco(
        root / "a.json",
        {"a.jpg": [bad, polygon(PART)], "b.jpg": [polygon(PART)], "gone.jpg": []},
    )
    write_blank(root / "a.jpg")
    (root / "b.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match="3 bad files") as caught:
        prepare(CocoJson, root, tmp_path / "data")
    said = str(caught.value)
    assert "a.json, picture gone.jpg: is missing" in said
    assert "a.json, annotation 0: run lengths do not add up to 20x30" in said
    assert "b.jpg: JPEG is truncated" in said
    splits, _ = prepare(CocoJson, root, tmp_path / "data", skip_bad=True)
    np.testing.assert_array_equal(splits["train"]["a"].layers, [PART])


def test_a_picture_of_another_size_than_listed_is_named(tmp_path):
    write_coco(tmp_path / "s" / "a.json", {"a.png": [polygon(PART)]})
    write_blank(tmp_path / "s" / "a.png")
    text = (tmp_path / "s" / "a.json").read_text()
    (tmp_path / "s" / "a.json").write_text(text.replace('"height": 20', '"height": 21'))
    with pytest.raises(ValueError, match=r"a.png: is 20x30, a.json says 21x30"):
        prepare(CocoJson, tmp_path / "s", tmp_path / "data")


def test_files_that_cannot_be_told_apart_are_refused(tmp_path):
    for name in ("train_a.json", "train_b.json"):
        write_coco(tmp_path / "s" / name, {})
    with pytest.raises(ValueError, match=r"second COCO file of the split 'train'"):
        prepare(CocoJson, tmp_path / "s", tmp_path / "data")
    (tmp_path / "s" / "train_b.json").rename(tmp_path / "s" / "b.json")
    with pytest.raises(ValueError, match=r"b.json has none of train, val and test"):
        prepare(CocoJson, tmp_path / "s", tmp_path / "data")
