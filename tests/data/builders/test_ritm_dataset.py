import pickle

import numpy as np
import pytest

from mst_jax.data.builders.ritm_dataset import find_ritm_items, read_ritm_records
from mst_jax.data.file_errors import BadFileError, ErrorCollector
from mst_jax.data.formats.ritm_pickle import RitmAnnotation
from mst_jax.data.record import encode_record
from tests.helpers.image_files import write_image
from tests.helpers.ritm_files import write_ritm_folder


@pytest.fixture
def split_folder(tmp_path):
    return write_ritm_folder(tmp_path / "train")


def test_images_are_in_the_order_of_their_ids(split_folder):
    items, annotations = find_ritm_items(split_folder)
    assert [item.id for item in items] == ["000000000009", "000000000025"]
    assert items[0].image_path == split_folder / "images" / "000000000009.jpg"
    assert annotations["000000000009"] == RitmAnnotation(3, {1: 0})
    assert annotations["000000000025"] == RitmAnnotation(3, {})


def test_a_record_has_layers_parts_and_stuff(split_folder):
    (item, _), annotations = find_ritm_items(split_folder)
    (record,) = read_ritm_records(item, annotations[item.id], ErrorCollector())
    assert record.keys() == encode_record("", b"", []).keys()
    np.testing.assert_array_equal(record["parts"], [(1, 1, 0, 1)])
    assert (len(record["layers"]), len(record["stuff"])) == (2, 1)


@pytest.mark.parametrize("mask_content", [7, ([], [])])
def test_errors_of_masks_name_the_mask_file(mask_content, split_folder):
    mask_path = split_folder / "masks" / "000000000009.pickle"
    mask_path.write_bytes(pickle.dumps(mask_content))
    (item, _), annotations = find_ritm_items(split_folder)
    with pytest.raises(BadFileError) as error_info:
        list(read_ritm_records(item, annotations[item.id], ErrorCollector()))
    assert error_info.value.path == mask_path


def test_masks_of_another_size_than_the_image_raise(split_folder):
    write_image(
        split_folder / "images" / "000000000009.jpg", np.zeros((8, 8, 3), np.uint8)
    )
    (item, _), annotations = find_ritm_items(split_folder)
    with pytest.raises(BadFileError, match="is 3x4, its image 8x8"):
        list(read_ritm_records(item, annotations[item.id], ErrorCollector()))
