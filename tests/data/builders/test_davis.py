import numpy as np
import pytest

from mst_jax.data.builders.davis import Davis
from tests.helpers.image_files import write_image, write_palette_png
from tests.helpers.prepare_dataset import prepare_dataset

LABEL_MASK = np.array([[0, 1, 2, 0], [0, 1, 2, 0], [0, 0, 0, 0]], np.uint8)


def test_every_label_of_palette_gray_and_rgb_masks_is_the_object(tmp_path):
    source = tmp_path / "source" / "DAVIS"
    for frame_name in ("bear_00000", "bus_00010", "car_00020"):
        write_image(source / "img" / f"{frame_name}.jpg")
    write_palette_png(source / "gt" / "bear_00000.png", LABEL_MASK)
    write_image(source / "gt" / "bus_00010.png", LABEL_MASK)
    label_colors = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)
    write_image(source / "gt" / "car_00020.png", label_colors[LABEL_MASK])
    splits, errors = prepare_dataset(Davis, tmp_path / "source", tmp_path / "data")
    assert sorted(splits["test"]) == ["bear_00000", "bus_00010", "car_00020"]
    for example in splits["test"].values():
        np.testing.assert_array_equal(example.layers, [LABEL_MASK > 0])
    assert not errors.messages


def test_a_mask_without_an_object_is_reported(tmp_path):
    write_image(tmp_path / "img" / "a.jpg")
    write_image(tmp_path / "gt" / "a.png", 0 * LABEL_MASK)
    with pytest.raises(ValueError, match=r"gt/a.png: has no object"):
        prepare_dataset(Davis, tmp_path, tmp_path / "data")
