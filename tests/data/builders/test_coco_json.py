import numpy as np
import pytest

from mst_jax.data.builders.coco_json import CocoJson
from tests.helpers.coco_files import (
    PART,
    WHOLE,
    box_polygon,
    encode_run_lengths,
    write_blank_image,
    write_coco,
)
from tests.helpers.prepare_dataset import prepare_dataset


def test_polygons_and_run_lengths_become_layers_and_parts(tmp_path):
    write_coco(
        tmp_path / "s" / "labels.json",
        {
            "a.jpg": [encode_run_lengths(PART), box_polygon(WHOLE)],
            "b.jpg": [box_polygon(PART)],
            "c.jpg": [],
        },
    )
    for image_name in ("a", "b", "c"):
        write_blank_image(tmp_path / "s" / "images" / f"{image_name}.jpg")
    splits, errors = prepare_dataset(
        CocoJson, tmp_path / "s", tmp_path / "data", variant="mine"
    )
    examples = splits["train"]
    assert sorted(examples) == ["a", "b"]
    np.testing.assert_array_equal(examples["a"].layers, [WHOLE, PART])
    np.testing.assert_array_equal(examples["a"].parts, [(1, 1, 0, 1)])
    np.testing.assert_array_equal(examples["b"].layers, [PART])
    assert errors.skip_counts == {"images without an object": 1}


@pytest.mark.parametrize(
    ("coco_files", "image_folders"),
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
def test_splits_follow_from_the_names_of_files_and_folders(
    coco_files, image_folders, tmp_path
):
    source = tmp_path / "s"
    for coco_file in coco_files:
        image_name = "1.jpg" if "train" in coco_file else "2.jpg"
        write_coco(source / coco_file, {image_name: [box_polygon(WHOLE)]})
    write_blank_image(source / image_folders[0] / "1.jpg")
    write_blank_image(source / image_folders[1] / "2.jpg")
    (source / "annotations").mkdir(exist_ok=True)
    if "train2017" in image_folders:
        (source / "annotations" / "captions_train2017.json").write_text("{}")
    splits, _ = prepare_dataset(CocoJson, source, tmp_path / "data")
    assert {split: list(examples) for split, examples in splits.items()} == {
        "train": ["1"],
        "val": ["2"],
    }


def test_missing_and_damaged_files_and_annotations_are_reported(tmp_path):
    source = tmp_path / "s"
    wrong_run_lengths = {"size": [20, 30], "counts": [1]}
    write_coco(
        source / "a.json",
        {
            "a.jpg": [wrong_run_lengths, box_polygon(PART)],
            "b.jpg": [box_polygon(PART)],
            "gone.jpg": [],
        },
    )
    write_blank_image(source / "a.jpg")
    (source / "b.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match="3 bad files") as error_info:
        prepare_dataset(CocoJson, source, tmp_path / "data")
    message = str(error_info.value)
    assert "a.json, image gone.jpg: is missing" in message
    assert "a.json, annotation 0: run lengths do not add up to 20x30" in message
    assert "b.jpg: JPEG is truncated" in message
    splits, _ = prepare_dataset(CocoJson, source, tmp_path / "data", skip_bad=True)
    np.testing.assert_array_equal(splits["train"]["a"].layers, [PART])


def test_an_image_of_another_size_than_listed_is_reported(tmp_path):
    write_coco(tmp_path / "s" / "a.json", {"a.png": [box_polygon(PART)]})
    write_blank_image(tmp_path / "s" / "a.png")
    coco_text = (tmp_path / "s" / "a.json").read_text()
    (tmp_path / "s" / "a.json").write_text(
        coco_text.replace('"height": 20', '"height": 21')
    )
    with pytest.raises(ValueError, match=r"a.png: is 20x30, a.json lists 21x30"):
        prepare_dataset(CocoJson, tmp_path / "s", tmp_path / "data")


def test_files_of_one_split_are_joined(tmp_path):
    source = tmp_path / "s"
    write_coco(source / "part_1.json", {"a.jpg": [box_polygon(PART)]})
    write_coco(
        source / "part_2.json",
        {"a.jpg": [box_polygon(WHOLE)], "b.jpg": [box_polygon(WHOLE)]},
    )
    for image_name in "ab":
        write_blank_image(source / f"{image_name}.jpg")
    splits, errors = prepare_dataset(CocoJson, source, tmp_path / "data")
    np.testing.assert_array_equal(splits["train"]["a"].layers, [WHOLE, PART])
    np.testing.assert_array_equal(splits["train"]["b"].layers, [WHOLE])
    remark = "split train: joined from part_1.json, part_2.json"
    assert [*errors.remark_counts] == [remark]


def test_some_files_without_a_split_raise(tmp_path):
    for coco_name in ("train_a.json", "latest_interval.json"):
        write_coco(tmp_path / "s" / coco_name, {})
    with pytest.raises(ValueError, match=r"interval.json has none of train, val and"):
        prepare_dataset(CocoJson, tmp_path / "s", tmp_path / "data")


def test_an_image_of_two_splits_has_the_objects_of_each(tmp_path):
    write_coco(tmp_path / "s/train.json", {"a.jpg": [box_polygon(PART)]})
    write_coco(tmp_path / "s/val.json", {"a.jpg": [box_polygon(WHOLE)]})
    write_blank_image(tmp_path / "s/a.jpg")
    splits, _ = prepare_dataset(CocoJson, tmp_path / "s", tmp_path / "data")
    np.testing.assert_array_equal(splits["train"]["a"].layers, [PART])
    np.testing.assert_array_equal(splits["val"]["a"].layers, [WHOLE])


@pytest.mark.parametrize(
    "listed_name",
    [
        r"images\my cat.jpg",
        r"D:\work\images\my cat.jpg",
        "/home/me/pictures/my cat.jpg",
        "https://host/x/my%20cat.jpg?raw=1",
        "./images/my%20cat.jpg",
        "MY CAT.JPG",
        "../elsewhere/my cat.jpg",
    ],
)
def test_images_are_found_under_the_names_of_other_tools(listed_name, tmp_path):
    write_coco(tmp_path / "s" / "a.json", {listed_name: [box_polygon(PART)]})
    write_blank_image(tmp_path / "s" / "images" / "my cat.jpg")
    splits, _ = prepare_dataset(CocoJson, tmp_path / "s", tmp_path / "data")
    (example,) = splits["train"].values()
    np.testing.assert_array_equal(example.layers, [PART])


def test_a_name_that_several_files_have_is_an_error(tmp_path):
    write_coco(tmp_path / "s" / "a.json", {"/x/1.jpg": [box_polygon(PART)]})
    for folder in "pq":
        write_blank_image(tmp_path / "s" / folder / "1.jpg")
    with pytest.raises(ValueError, match=r"several files have its name: .*p/1.jpg"):
        prepare_dataset(CocoJson, tmp_path / "s", tmp_path / "data")
    # The folder decides.
    write_coco(tmp_path / "s" / "a.json", {"/x/q/1.jpg": [box_polygon(PART)]})
    splits, _ = prepare_dataset(CocoJson, tmp_path / "s", tmp_path / "data")
    assert [*splits["train"]] == ["q-1"]


def test_a_missing_size_is_read_from_the_image(tmp_path):
    path = tmp_path / "s" / "a.json"
    write_coco(path, {"a.jpg": [box_polygon(PART), encode_run_lengths(WHOLE)]})
    path.write_text(path.read_text().replace('"height": 20, "width": 30', '"x": 0'))
    write_blank_image(tmp_path / "s" / "a.jpg")
    splits, _ = prepare_dataset(CocoJson, tmp_path / "s", tmp_path / "data")
    np.testing.assert_array_equal(splits["train"]["a"].layers, [WHOLE, PART])
