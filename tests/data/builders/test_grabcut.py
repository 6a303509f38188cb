import numpy as np
import pytest

from mst_jax.data.builders.grabcut import Grabcut
from tests.helpers.image_files import write_grabcut, write_image
from tests.helpers.prepare_dataset import prepare_dataset


def test_unsure_pixels_are_ignored(tmp_path):
    source = write_grabcut(tmp_path / "source")
    examples = prepare_dataset(Grabcut, source, tmp_path / "data")[0]["test"]
    assert sorted(examples) == ["one", "two"]
    np.testing.assert_array_equal(
        examples["one"].layers,
        [[[0, 0, 65535, 0], [0, 65535, 1, 65535], [0, 0, 1, 0]]],
    )


def test_all_bad_files_are_listed(tmp_path):
    source = write_grabcut(tmp_path / "source")
    (source / "boundary_GT" / "one.bmp").rename(source / "boundary_GT" / "three.bmp")
    write_image(source / "boundary_GT" / "two.bmp", np.full((2, 4), 255, np.uint8))
    write_image(source / "data_GT" / "four.jpg")
    write_image(source / "boundary_GT" / "four.bmp", np.full((3, 4), 7, np.uint8))
    with pytest.raises(ValueError) as error_info:
        prepare_dataset(Grabcut, source, tmp_path / "data")
    message = str(error_info.value)
    assert "4 bad files" in message
    assert "data_GT/one.bmp: has no mask boundary_GT/one.bmp" in message
    assert "boundary_GT/two.bmp: is 2x4, its image 3x4" in message
    assert "boundary_GT/four.bmp: has values [7]" in message
    assert "boundary_GT/three.bmp: mask without image" in message


def test_a_mask_without_an_object_is_reported(tmp_path):
    source = write_grabcut(tmp_path / "source")
    write_image(source / "boundary_GT" / "one.bmp", np.full((3, 4), 128, np.uint8))
    with pytest.raises(ValueError, match=r"boundary_GT/one.bmp: has no object"):
        prepare_dataset(Grabcut, source, tmp_path / "data")


def test_a_wrong_source_raises_with_the_layout(tmp_path):
    with pytest.raises(ValueError, match=r"looked for .*data_GT.*boundary_GT/STEM.bmp"):
        Grabcut(data_dir=str(tmp_path), source=str(tmp_path))
