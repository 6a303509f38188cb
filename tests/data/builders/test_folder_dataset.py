import numpy as np
import pytest

from mst_jax.data.builders.folder import Folder
from mst_jax.data.builders.folder_dataset import check_size, has_object
from mst_jax.data.builders.sbd import Sbd
from mst_jax.data.formats.images import EncodedPicture
from tests.data.builders.test_sbd import write_sbd
from tests.helpers.image_files import write_folder
from tests.helpers.prepare_dataset import prepare


def test_sizes_must_be_equal():
    labels = np.zeros((3, 4), np.uint16)
    check_size([labels], EncodedPicture(b"", 3, 4))
    with pytest.raises(ValueError, match=r"is 3x4, its picture 4x3 \(height x width\)"):
        check_size([labels], EncodedPicture(b"", 4, 3))


def test_ignored_pixels_are_no_object():
    assert not has_object(np.array([[0, 65535]], np.uint16))
    assert has_object(np.array([[0, 65534]], np.uint16))


def test_a_bad_picture_does_not_hide_its_bad_mask(tmp_path):
    root = write_folder(tmp_path / "s", num_pictures=2)
    (root / "images" / "p0.png").write_bytes(b"")
    (root / "masks" / "p0.png").write_bytes(b"")
    with pytest.raises(ValueError, match="2 bad files") as caught:
        prepare(Folder, root, tmp_path / "data")
    assert "images/p0.png: file is empty" in str(caught.value)
    assert "masks/p0.png: file is empty" in str(caught.value)


def test_a_split_without_a_good_picture_tells_the_faults_of_all(tmp_path):
    root = write_sbd(tmp_path / "s")
    for name in ("2008_000003", "2008_000002"):  # the whole train, half of val
        (root / "img" / f"{name}.jpg").unlink()
    with pytest.raises(ValueError, match="2 bad files"):
        prepare(Sbd, root, tmp_path / "data")
    with pytest.raises(ValueError, match="no picture is left"):
        prepare(Sbd, root, tmp_path / "data", skip_bad=True)


def test_a_data_set_is_read_once_per_picture_and_shown_to_progress(tmp_path):
    seen = []

    def watch(items):
        for item in items:
            seen.append(item.id)
            yield item

    prepare(Folder, write_folder(tmp_path / "s"), tmp_path / "data", progress=watch)
    assert seen == ["p0", "p1", "p2"]
