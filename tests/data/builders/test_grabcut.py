import numpy as np
import pytest

from mst_jax.data.builders.grabcut import Grabcut
from tests.helpers.image_files import write_grabcut, write_image
from tests.helpers.prepare_dataset import prepare


def test_object_unsure_and_background(tmp_path):
    source = write_grabcut(tmp_path / "source")
    found = prepare(Grabcut, source, tmp_path / "data")[0]["test"]
    assert sorted(found) == ["one", "two"]
    np.testing.assert_array_equal(
        found["one"].layers,
        [[[0, 0, 65535, 0], [0, 65535, 1, 65535], [0, 0, 1, 0]]],
    )


def test_bad_files_are_listed(tmp_path):
    root = write_grabcut(tmp_path / "source")
    (root / "boundary_GT" / "one.bmp").rename(root / "boundary_GT" / "three.bmp")
    write_image(root / "boundary_GT" / "two.bmp", np.full((2, 4), 255, np.uint8))
    write_image(root / "data_GT" / "four.jpg")
    write_image(root / "boundary_GT" / "four.bmp", np.full((3, 4), 7, np.uint8))
    with pytest.raises(ValueError) as caught:
        prepare(Grabcut, root, tmp_path / "data")
    message = str(caught.value)
    assert "4 bad files" in message
    assert "data_GT/one.bmp: has no mask boundary_GT/one.bmp" in message
    assert "boundary_GT/two.bmp: is 2x4, its picture 3x4" in message
    assert "boundary_GT/four.bmp: has values [7]" in message
    assert "boundary_GT/three.bmp: mask without picture" in message


def test_a_mask_without_object_is_refused(tmp_path):
    root = write_grabcut(tmp_path / "source")
    write_image(root / "boundary_GT" / "one.bmp", np.full((3, 4), 128, np.uint8))
    with pytest.raises(ValueError, match=r"boundary_GT/one.bmp: has no object"):
        prepare(Grabcut, root, tmp_path / "data")


def test_a_wrong_source_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"looked for .*data_GT.*boundary_GT/STEM.bmp"):
        Grabcut(data_dir=str(tmp_path), source=str(tmp_path))
