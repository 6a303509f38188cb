import numpy as np

from mst_jax.data.builders.coco_mval import CocoMval
from tests.helpers.image_files import LABELS, write_image
from tests.helpers.prepare_dataset import prepare


def test_names_with_blanks_and_any_label(tmp_path):
    name = "baseball bat00_000000057232"
    write_image(tmp_path / "s" / "img" / f"{name}.jpg")
    write_image(tmp_path / "s" / "gt" / f"{name}.png", LABELS.astype(np.uint8))
    splits, faults = prepare(CocoMval, tmp_path / "s", tmp_path / "data")
    np.testing.assert_array_equal(splits["test"][name].layers, [LABELS > 0])
    assert not faults.lines
