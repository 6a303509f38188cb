import numpy as np

from mst_jax.data.builders.discovery import SourceItem
from mst_jax.data.builders.oaizib import Oaizib
from mst_jax.data.example import IGNORE_LABEL
from tests.helpers.image_files import LABELS, write_image
from tests.helpers.volume_files import LABEL_VOXELS, VOXELS, write_volume


def test_an_item_is_an_image_or_a_volume(tmp_path):
    write_image(tmp_path / "test" / "image" / "a.png")
    write_image(tmp_path / "test" / "annotations" / "a.png", LABELS.astype(np.uint8))
    write_volume(tmp_path / "v.nii", VOXELS)
    write_volume(tmp_path / "m.nii", LABEL_VOXELS)
    builder = Oaizib(data_dir=str(tmp_path / "data"), source=str(tmp_path))
    (item,) = builder.find_items()["test"]
    assert [record["id"] for record in builder.read_records(item)] == ["a"]
    volume_item = SourceItem("v", tmp_path / "v.nii", (tmp_path / "m.nii",))
    (record,) = builder.read_records(volume_item)
    assert record["id"] == "v-001"
    assert LABEL_VOXELS.max() < IGNORE_LABEL and builder.errors.skip_counts.total() == 1
