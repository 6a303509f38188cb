import pickle

import numpy as np
import pytest

from mst_jax.data.builders.coco_lvis import CocoLvis
from tests.helpers.coco_files import PART, WHOLE, polygon, write_blank, write_coco
from tests.helpers.panoptic_files import write_panoptic
from tests.helpers.prepare_dataset import prepare
from tests.helpers.ritm_files import PARTS, STUFF, WHOLES, write_packed


def test_the_packed_form_keeps_parts_and_stuff(tmp_path):
    for split in ("train", "val"):
        write_packed(tmp_path / "s" / split)
    splits, faults = prepare(CocoLvis, tmp_path / "s", tmp_path / "data")
    assert sorted(splits) == ["train", "val"]
    example = splits["train"]["000000000009"]
    np.testing.assert_array_equal(example.layers, [WHOLES, PARTS])
    np.testing.assert_array_equal(example.parts, [(1, 1, 0, 1)])
    np.testing.assert_array_equal(example.stuff, [STUFF])
    assert splits["train"]["000000000025"].parts.shape == (0, 4)
    assert not faults.lines


class Harm:
    def __reduce__(self):
        return print, ("harmed",)


@pytest.mark.parametrize("file", ["hannotation.pickle", "masks/000000000009.pickle"])
def test_a_harmful_pickle_is_not_run(file, tmp_path, capfd):
    folder = write_packed(tmp_path / "s" / "train")
    (folder / file).write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ValueError, match=rf"{file}.*builtins.print, which no"):
        prepare(CocoLvis, tmp_path / "s", tmp_path / "data")
    assert "harmed" not in capfd.readouterr().out


def test_lvis_itself_with_parts_and_nothing_twice(tmp_path):
    tiny = np.zeros((20, 30), bool)
    tiny[0, :5] = True
    url = "http://images.cocodataset.org/train2017/"
    objects = [polygon(mask) for mask in (WHOLE, PART, tiny, WHOLE)]
    write_coco(tmp_path / "s" / "lvis_v1_train.json", {"1.jpg": objects}, url=url)
    write_blank(tmp_path / "s" / "train2017" / "1.jpg")
    splits, faults = prepare(CocoLvis, tmp_path / "s", tmp_path / "data")
    (example,) = splits["train"].values()
    assert example.id == "1"
    np.testing.assert_array_equal(example.layers, [WHOLE, PART])
    np.testing.assert_array_equal(example.parts, [(1, 1, 0, 1)])
    assert faults.remarks == {
        "objects of under 80 pixels": 1,
        "objects listed twice": 1,
    }


def test_lvis_with_panoptic_annotations_gets_what_it_lacks_and_stuff(tmp_path):
    root = tmp_path / "s"
    url = "http://images.cocodataset.org/val2017/"
    write_coco(
        root / "lvis_v1_val.json", {"000000000139.jpg": [polygon(PART)]}, url=url
    )
    write_blank(root / "val2017" / "000000000139.jpg")
    new = np.zeros_like(WHOLE)
    new[:, 25:] = True
    known = PART.copy()
    known[4] = False  # 8 of 9 rows of what LVIS has
    grass = ~new & ~known
    grass[:, :3] = False
    path = root / "annotations" / "panoptic_val2017.json"
    things = {5: (new, True, False), 6: (known, True, False), 7: (grass, False, False)}
    write_panoptic(path, 139, things)
    splits, faults = prepare(CocoLvis, root, tmp_path / "data")
    assert not faults.lines
    (example,) = splits["val"].values()
    np.testing.assert_array_equal(example.layers, [np.where(PART, 2, new)])
    assert example.parts.shape == (0, 4)
    assert example.stuff.shape == (0, 0, 0)  # 341 pixels are too few


def test_stuff_from_501_pixels_on_and_only_where_no_object_is(tmp_path):
    root = tmp_path / "s"
    url = "http://images.cocodataset.org/val2017/"
    write_coco(
        root / "lvis_v1_val.json", {"000000000139.jpg": [polygon(PART)]}, url=url
    )
    write_blank(root / "val2017" / "000000000139.jpg")
    path = root / "annotations" / "panoptic_val2017.json"
    everywhere = np.ones_like(PART)
    write_panoptic(path, 139, {7: (everywhere, False, False)})
    splits, _ = prepare(CocoLvis, root, tmp_path / "data")
    (example,) = splits["val"].values()
    np.testing.assert_array_equal(example.stuff, [~PART])
    png = path.with_suffix("") / "000000000139.png"
    png.write_bytes(png.read_bytes()[:-9])
    with pytest.raises(
        ValueError, match=r"panoptic_val2017/000000000139.png: PNG is tr"
    ):
        prepare(CocoLvis, root, tmp_path / "other")
