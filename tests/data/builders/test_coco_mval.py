import numpy as np

from mst_jax.data.builders.coco_mval import CocoMval
from tests.helpers.image_files import LABELS, write_image
from tests.helpers.prepare_dataset import prepare_dataset


def test_names_may_have_spaces_and_every_label_is_the_object(tmp_path):
    image_name = "baseball bat00_000000057232"
    write_image(tmp_path / "s" / "img" / f"{image_name}.jpg")
    write_image(tmp_path / "s" / "gt" / f"{image_name}.png", LABELS.astype(np.uint8))
    splits, errors = prepare_dataset(CocoMval, tmp_path / "s", tmp_path / "data")
    np.testing.assert_array_equal(splits["test"][image_name].layers, [LABELS > 0])
    assert not errors.messages
