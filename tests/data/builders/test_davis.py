import numpy as np
import pytest

from mst_jax.data.builders.davis import Davis
from tests.helpers.image_files import write_image, write_palette
from tests.helpers.prepare_dataset import prepare

MASK = np.array([[0, 1, 2, 0], [0, 1, 2, 0], [0, 0, 0, 0]], np.uint8)


def test_every_label_of_palette_grey_and_rgb_masks_is_the_object(tmp_path):
    root = tmp_path / "source" / "DAVIS"
    for name in ("bear_00000", "bus_00010", "car_00020"):
        write_image(root / "img" / f"{name}.jpg")
    write_palette(root / "gt" / "bear_00000.png", MASK)
    write_image(root / "gt" / "bus_00010.png", MASK)
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)
    write_image(root / "gt" / "car_00020.png", colours[MASK])
    splits, faults = prepare(Davis, tmp_path / "source", tmp_path / "data")
    assert sorted(splits["test"]) == ["bear_00000", "bus_00010", "car_00020"]
    for example in splits["test"].values():
        np.testing.assert_array_equal(example.layers, [MASK > 0])
    assert not faults.lines


def test_an_empty_mask_is_reported(tmp_path):
    write_image(tmp_path / "img" / "a.jpg")
    write_image(tmp_path / "gt" / "a.png", 0 * MASK)
    with pytest.raises(ValueError, match=r"gt/a.png: has no object"):
        prepare(Davis, tmp_path, tmp_path / "data")
