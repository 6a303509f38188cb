import numpy as np
import pytest
import scipy.io

from mst_jax.data.builders.bsds500 import Bsds500
from tests.helpers.image_files import write_image
from tests.helpers.prepare_dataset import prepare

ONE = np.array([[1, 1, 2, 2]] * 3, np.uint16)
OTHER = np.array([[1, 1, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]], np.uint16)


def write_people(path, *people):
    """A .mat as BSDS500 has it: groundTruth{k}.Segmentation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = np.empty((1, len(people)), object)
    for k, labels in enumerate(people):
        cell[0, k] = {"Segmentation": labels, "Boundaries": labels > 1}
    scipy.io.savemat(path, {"groundTruth": cell}, do_compression=True)


def test_each_annotator_is_a_layer(tmp_path):
    root = tmp_path / "BSR" / "BSDS500" / "data"
    for split, name in (("train", "100075"), ("val", "101085"), ("test", "100007")):
        write_image(root / "images" / split / f"{name}.jpg")
        write_people(root / "groundTruth" / split / f"{name}.mat", ONE, OTHER)
    (root / "images" / "test" / "Thumbs.db").touch()  # as published
    splits, faults = prepare(Bsds500, tmp_path, tmp_path / "data")
    assert list(splits) == ["test", "train", "val"]
    np.testing.assert_array_equal(splits["val"]["101085"].layers, [ONE, OTHER])
    assert not faults.lines


def test_something_else_than_a_cell_is_named(tmp_path):
    write_image(tmp_path / "images" / "val" / "1.jpg")
    path = tmp_path / "groundTruth" / "val" / "1.mat"
    path.parent.mkdir(parents=True)
    scipy.io.savemat(path, {"groundTruth": ONE})
    with pytest.raises(ValueError, match=r"val/1.mat: groundTruth holds uint16"):
        prepare(Bsds500, tmp_path, tmp_path / "data")
