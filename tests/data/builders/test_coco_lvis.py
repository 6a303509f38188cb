import pickle

import numpy as np
import pytest

from mst_jax.data.builders.coco_lvis import CocoLvis
from tests.data.builders.preparing import prepare
from tests.data.coco_on_disk import PART, WHOLE, polygon, write_blank, write_coco
from tests.data.packed_set import PARTS, STUFF, WHOLES, write_packed


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
