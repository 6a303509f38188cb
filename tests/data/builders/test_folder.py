import numpy as np
import pytest

from mst_jax.data.builders.folder import Folder
from tests.helpers import prepare_dataset
from tests.helpers.image_files import IMAGE, LABELS, write_folder, write_image


def prepare(source, data_dir, **options):
    splits, faults = prepare_dataset.prepare(Folder, source, data_dir, **options)
    return splits["train"], faults.lines


def test_layers_are_ordered_by_number_and_suffixes_may_be_upper_case(tmp_path):
    root = tmp_path / "source"
    write_image(root / "images" / "a.JPG", np.full((3, 4, 3), 90, np.uint8))
    write_image(root / "images" / "a_1.bmp", IMAGE)
    for name, add in (("a_0", 1), ("a_2", 2), ("a_10", 3), ("a_1", 50)):
        write_image(root / "masks" / f"{name}.PNG", LABELS + np.uint16(add))
    found, _ = prepare(root, tmp_path / "data")
    assert sorted(found) == ["a", "a_1"]
    np.testing.assert_array_equal(
        found["a"].layers, [LABELS + 1, LABELS + 2, LABELS + 3]
    )
    np.testing.assert_array_equal(found["a_1"].layers, [LABELS + 50])


def test_16_bit_labels_and_ignored_pixels_are_kept(tmp_path):
    root = tmp_path / "source"
    labels = np.array([[0, 300, 65535, 65534]] * 3, np.uint16)
    write_image(root / "images" / "a.png")
    write_image(root / "masks" / "a.png", labels)
    found, _ = prepare(root, tmp_path / "data")
    np.testing.assert_array_equal(found["a"].layers, [labels])


@pytest.fixture
def bad_folder(tmp_path):
    root = write_folder(tmp_path / "source", num_pictures=2)
    eight = LABELS.astype(np.uint8)
    write_image(root / "images" / "lonely.png")
    write_image(root / "images" / "p0.bmp")
    (root / "images" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    (root / "images" / "notes.txt").write_text("hello")
    write_image(root / "images" / "blank.png")
    write_image(root / "masks" / "blank.png", 0 * eight)
    write_image(root / "images" / "wide.png")
    write_image(root / "masks" / "wide.png", np.ones((3, 5), np.uint8))
    write_image(root / "masks" / "torn.png", eight)
    write_image(root / "masks" / "nobody.png", eight)
    write_image(root / "masks" / "p1_3.png", IMAGE)
    write_image(root / "masks" / "p1.jpg", eight)
    return root


EXPECTED = [
    "images/lonely.png: has no mask masks/lonely.png",
    "images/notes.txt: not a picture file",
    "images/p0.png: has the same stem as p0.bmp",
    "images/torn.jpg: JPEG is truncated",
    "masks/blank.png: has no object",
    "masks/nobody.png: mask without picture",
    "masks/p1.jpg: masks must be .png files",
    "masks/p1_3.png: label map in colour",
    "masks/wide.png: is 3x5, its picture 3x4",
]


def test_all_bad_files_stand_in_one_error(bad_folder, tmp_path):
    with pytest.raises(ValueError, match="9 bad files") as caught:
        prepare(bad_folder, tmp_path / "data")
    lines = sorted(line.strip() for line in str(caught.value).splitlines()[1:])
    assert len(lines) == len(EXPECTED)
    for line, expected in zip(lines, EXPECTED, strict=True):
        assert line.startswith(expected)


def test_bad_files_can_be_left_out(bad_folder, tmp_path):
    found, faults = prepare(bad_folder, tmp_path / "data", skip_bad=True)
    assert sorted(found) == ["p0", "p1"]
    np.testing.assert_array_equal(found["p1"].layers, [LABELS])
    assert len(faults) == len(EXPECTED)


def test_a_wrong_source_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"looked for .*images.*masks/STEM.png"):
        Folder(data_dir=str(tmp_path), source=str(tmp_path / "nowhere"))


def test_an_empty_source_is_an_error(tmp_path):
    (tmp_path / "source" / "images").mkdir(parents=True)
    (tmp_path / "source" / "masks").mkdir()
    with pytest.raises(ValueError, match="no picture is left"):
        prepare(tmp_path / "source", tmp_path / "data")
