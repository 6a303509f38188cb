import numpy as np

from mst_jax.data.builders.discovery import Item
from mst_jax.data.builders.oaizib import Oaizib
from mst_jax.data.example import IGNORED
from tests.helpers.image_files import LABELS, write_image
from tests.helpers.volume_files import MARKS, VOXELS, write_volume


def test_an_item_is_a_picture_or_a_volume(tmp_path):
    write_image(tmp_path / "test" / "image" / "a.png")
    write_image(tmp_path / "test" / "annotations" / "a.png", LABELS.astype(np.uint8))
    write_volume(tmp_path / "v.nii", VOXELS)
    write_volume(tmp_path / "m.nii", MARKS)
    builder = Oaizib(data_dir=str(tmp_path / "data"), source=str(tmp_path))
    (item,) = builder.find_items()["test"]
    assert [row["id"] for row in builder.read(item)] == ["a"]
    volume = Item("v", tmp_path / "v.nii", (tmp_path / "m.nii",))
    (row,) = builder.read(volume)
    assert row["id"] == "v-001"
    assert MARKS.max() < IGNORED and builder.faults.remarks.total() == 1
