import numpy as np
import pytest

from mst_jax.data.builders.folder import Folder
from mst_jax.data.builders.folder_dataset import check_layer_sizes, contains_object
from mst_jax.data.builders.sbd import Sbd
from mst_jax.data.formats.images import EncodedImage
from tests.helpers.image_files import write_folder
from tests.helpers.prepare_dataset import prepare_dataset
from tests.helpers.sbd_files import write_sbd


def test_label_maps_have_the_size_of_the_image():
    labels = np.zeros((3, 4), np.uint16)
    check_layer_sizes([labels], EncodedImage(b"", 3, 4))
    with pytest.raises(ValueError, match=r"is 3x4, its image 4x3 \(height x width\)"):
        check_layer_sizes([labels], EncodedImage(b"", 4, 3))


def test_ignored_pixels_are_not_an_object():
    assert not contains_object(np.array([[0, 65535]], np.uint16))
    assert contains_object(np.array([[0, 65534]], np.uint16))


def test_a_bad_image_does_not_hide_its_bad_mask(tmp_path):
    source = write_folder(tmp_path / "s", num_images=2)
    (source / "images" / "p0.png").write_bytes(b"")
    (source / "masks" / "p0.png").write_bytes(b"")
    with pytest.raises(ValueError, match="2 bad files") as error_info:
        prepare_dataset(Folder, source, tmp_path / "data")
    assert "images/p0.png: file is empty" in str(error_info.value)
    assert "masks/p0.png: file is empty" in str(error_info.value)


def test_a_split_without_a_good_image_reports_errors_of_all_splits(tmp_path):
    source = write_sbd(tmp_path / "s")
    for image_name in ("2008_000003", "2008_000002"):  # the whole train, half of val
        (source / "img" / f"{image_name}.jpg").unlink()
    with pytest.raises(ValueError, match="2 bad files"):
        prepare_dataset(Sbd, source, tmp_path / "data")
    with pytest.raises(ValueError, match="no image is left"):
        prepare_dataset(Sbd, source, tmp_path / "data", skip_bad=True)


def test_each_image_is_read_once_and_reported_to_progress_fn(tmp_path):
    seen_ids = []

    def record_ids(items):
        for item in items:
            seen_ids.append(item.id)
            yield item

    prepare_dataset(
        Folder, write_folder(tmp_path / "s"), tmp_path / "data", progress_fn=record_ids
    )
    assert seen_ids == ["p0", "p1", "p2"]
