import numpy as np
import pytest

from mst_jax.data.builders.berkeley import Berkeley
from tests.helpers.image_files import write_image
from tests.helpers.prepare_dataset import prepare

WHOLE = np.zeros((3, 4, 3), np.uint8)
WHOLE[1:, :2] = 255
PART = np.zeros((3, 4), np.uint8)
PART[1, 0], PART[0, 3] = 128, 127


def write_berkeley(root):
    write_image(root / "images" / "101085.jpg")
    write_image(root / "images" / "189011.jpg")
    write_image(root / "masks" / "101085.png", WHOLE)
    write_image(root / "masks" / "189011.png", WHOLE)
    write_image(root / "masks" / "189011a.png", PART)
    return root


def check(found):
    assert sorted(found) == ["101085", "189011"]
    np.testing.assert_array_equal(found["101085"].layers, [WHOLE[..., 0] == 255])
    np.testing.assert_array_equal(
        found["189011"].layers,
        [
            [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]],
            [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]],
        ],
    )


def test_a_picture_has_the_masks_of_all_its_letters(tmp_path):
    root = write_berkeley(tmp_path / "source")
    splits, faults = prepare(Berkeley, root, tmp_path / "data")
    check(splits["test"])
    assert not faults.lines and not faults.remarks


def test_copies_under_the_name_of_a_mask_are_the_same_picture(tmp_path):
    root = write_berkeley(tmp_path / "source")
    write_image(root / "images" / "189011a.jpg")
    splits, faults = prepare(Berkeley, root, tmp_path / "data")
    check(splits["test"])
    assert faults.remarks.total() == 1


def test_what_has_no_partner_is_reported(tmp_path):
    root = write_berkeley(tmp_path / "source")
    (root / "images" / "189011.jpg").unlink()
    (root / "masks" / "101085.png").unlink()
    with pytest.raises(ValueError, match="3 bad files") as caught:
        prepare(Berkeley, root, tmp_path / "data")
    assert "images/101085.jpg: has no mask masks/101085.png" in str(caught.value)
    assert "masks/189011a.png: mask without picture" in str(caught.value)
