import numpy as np
import pytest
import scipy.io

from mst_jax.data.builders.bsds500 import Bsds500
from tests.helpers.image_files import write_image
from tests.helpers.prepare_dataset import prepare_dataset

FIRST_REGIONS = np.array([[1, 1, 2, 2]] * 3, np.uint16)
SECOND_REGIONS = np.array([[1, 1, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]], np.uint16)


def write_annotators(path, *region_maps):
    """Write a .mat as BSDS500 publishes it: groundTruth{k}.Segmentation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cell_array = np.empty((1, len(region_maps)), object)
    for k, labels in enumerate(region_maps):
        cell_array[0, k] = {"Segmentation": labels, "Boundaries": labels > 1}
    scipy.io.savemat(path, {"groundTruth": cell_array}, do_compression=True)


def test_each_annotator_is_a_layer(tmp_path):
    source = tmp_path / "BSR" / "BSDS500" / "data"
    for split, image_name in (
        ("train", "100075"),
        ("val", "101085"),
        ("test", "100007"),
    ):
        write_image(source / "images" / split / f"{image_name}.jpg")
        write_annotators(
            source / "groundTruth" / split / f"{image_name}.mat",
            FIRST_REGIONS,
            SECOND_REGIONS,
        )
    (source / "images" / "test" / "Thumbs.db").touch()  # as published
    splits, errors = prepare_dataset(Bsds500, tmp_path, tmp_path / "data")
    assert list(splits) == ["test", "train", "val"]
    np.testing.assert_array_equal(
        splits["val"]["101085"].layers, [FIRST_REGIONS, SECOND_REGIONS]
    )
    assert not errors.messages


def test_a_variable_that_is_no_cell_array_is_reported(tmp_path):
    write_image(tmp_path / "images" / "val" / "1.jpg")
    path = tmp_path / "groundTruth" / "val" / "1.mat"
    path.parent.mkdir(parents=True)
    scipy.io.savemat(path, {"groundTruth": FIRST_REGIONS})
    with pytest.raises(ValueError, match=r"val/1.mat: groundTruth holds uint16"):
        prepare_dataset(Bsds500, tmp_path, tmp_path / "data")
