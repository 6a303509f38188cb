import numpy as np
import pytest

from mst_jax.data.builders.davis2017 import Davis2017
from tests.helpers.image_files import LABELS, write_image, write_palette_png
from tests.helpers.prepare_dataset import prepare_dataset


def write_davis(source, resolution="480p"):
    list_folder = source / "ImageSets" / "2017"
    list_folder.mkdir(parents=True)
    for split, sequence in (("train", "bear"), ("val", "bike-packing")):
        (list_folder / f"{split}.txt").write_text(f"{sequence}\n")
        for frame_name, labels in (("00000", LABELS), ("00001", 0 * LABELS)):
            write_image(
                source / "JPEGImages" / resolution / sequence / f"{frame_name}.jpg"
            )
            mask_path = (
                source / "Annotations" / resolution / sequence / f"{frame_name}.png"
            )
            write_palette_png(mask_path, labels)
    return source


@pytest.mark.parametrize("resolution", ["480p", "Full-Resolution"])
def test_each_label_is_an_object_and_empty_frames_are_left_out(resolution, tmp_path):
    write_davis(tmp_path / "s" / "DAVIS", resolution)
    splits, errors = prepare_dataset(Davis2017, tmp_path / "s", tmp_path / "data")
    assert list(splits["train"]) == ["bear-00000"]
    np.testing.assert_array_equal(splits["val"]["bike-packing-00000"].layers, [LABELS])
    assert errors.skip_counts == {"label maps without an object": 2}


def test_a_missing_sequence_is_reported(tmp_path):
    source = write_davis(tmp_path / "s")
    (source / "ImageSets" / "2017" / "val.txt").write_text("bike-packing\nswing\n")
    with pytest.raises(ValueError, match=r"JPEGImages/480p/swing: is missing"):
        prepare_dataset(Davis2017, source, tmp_path / "data")
