import numpy as np
import pytest

from mst_jax.data.builders.berkeley import Berkeley
from tests.helpers.image_files import write_image
from tests.helpers.prepare_dataset import prepare_dataset

WHOLE_MASK = np.zeros((3, 4, 3), np.uint8)
WHOLE_MASK[1:, :2] = 255
PART_MASK = np.zeros((3, 4), np.uint8)
PART_MASK[1, 0], PART_MASK[0, 3] = 128, 127


def write_berkeley(source):
    write_image(source / "images" / "101085.jpg")
    write_image(source / "images" / "189011.jpg")
    write_image(source / "masks" / "101085.png", WHOLE_MASK)
    write_image(source / "masks" / "189011.png", WHOLE_MASK)
    write_image(source / "masks" / "189011a.png", PART_MASK)
    return source


def check_examples(examples):
    assert sorted(examples) == ["101085", "189011"]
    np.testing.assert_array_equal(
        examples["101085"].layers, [WHOLE_MASK[..., 0] == 255]
    )
    np.testing.assert_array_equal(
        examples["189011"].layers,
        [
            [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]],
            [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]],
        ],
    )


def test_an_image_has_the_masks_of_all_its_letters(tmp_path):
    source = write_berkeley(tmp_path / "source")
    splits, errors = prepare_dataset(Berkeley, source, tmp_path / "data")
    check_examples(splits["test"])
    assert not errors.messages and not errors.skip_counts


def test_copies_under_the_name_of_a_mask_count_as_one_image(tmp_path):
    source = write_berkeley(tmp_path / "source")
    write_image(source / "images" / "189011a.jpg")
    splits, errors = prepare_dataset(Berkeley, source, tmp_path / "data")
    check_examples(splits["test"])
    assert errors.skip_counts.total() == 1


def test_images_and_masks_without_a_partner_are_reported(tmp_path):
    source = write_berkeley(tmp_path / "source")
    (source / "images" / "189011.jpg").unlink()
    (source / "masks" / "101085.png").unlink()
    with pytest.raises(ValueError, match="3 bad files") as error_info:
        prepare_dataset(Berkeley, source, tmp_path / "data")
    assert "images/101085.jpg: has no mask masks/101085.png" in str(error_info.value)
    assert "masks/189011a.png: mask without image" in str(error_info.value)
