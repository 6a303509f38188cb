import numpy as np
import pytest

from mst_jax.data.builders.folder import Folder
from tests.helpers.image_files import IMAGE, LABELS, write_folder, write_image
from tests.helpers.prepare_dataset import prepare_dataset
from tests.helpers.tiff_files import encode_tiff


def prepare_folder(source, data_dir, **options):
    splits, errors = prepare_dataset(Folder, source, data_dir, **options)
    return splits["train"], errors.messages


def test_layers_are_ordered_by_number_and_suffixes_ignore_case(tmp_path):
    source = tmp_path / "source"
    write_image(source / "images" / "a.JPG", np.full((3, 4, 3), 90, np.uint8))
    write_image(source / "images" / "a_1.bmp", IMAGE)
    for mask_stem, label_offset in (("a_0", 1), ("a_2", 2), ("a_10", 3), ("a_1", 50)):
        write_image(
            source / "masks" / f"{mask_stem}.PNG", LABELS + np.uint16(label_offset)
        )
    examples, _ = prepare_folder(source, tmp_path / "data")
    assert sorted(examples) == ["a", "a_1"]
    np.testing.assert_array_equal(
        examples["a"].layers, [LABELS + 1, LABELS + 2, LABELS + 3]
    )
    np.testing.assert_array_equal(examples["a_1"].layers, [LABELS + 50])


def test_16_bit_labels_and_ignored_pixels_are_unchanged(tmp_path):
    source = tmp_path / "source"
    labels = np.array([[0, 300, 65535, 65534]] * 3, np.uint16)
    write_image(source / "images" / "a.png")
    write_image(source / "masks" / "a.png", labels)
    examples, _ = prepare_folder(source, tmp_path / "data")
    np.testing.assert_array_equal(examples["a"].layers, [labels])


@pytest.fixture
def bad_folder(tmp_path):
    source = write_folder(tmp_path / "source", num_images=2)
    gray_labels = LABELS.astype(np.uint8)
    write_image(source / "images" / "lonely.png")
    write_image(source / "images" / "p0.bmp")
    (source / "images" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    (source / "images" / "notes.txt").write_text("hello")
    write_image(source / "images" / "blank.png")
    write_image(source / "masks" / "blank.png", 0 * gray_labels)
    write_image(source / "images" / "wide.png")
    write_image(source / "masks" / "wide.png", np.ones((3, 5), np.uint8))
    write_image(source / "masks" / "torn.png", gray_labels)
    write_image(source / "masks" / "nobody.png", gray_labels)
    write_image(source / "masks" / "p1_3.png", IMAGE)
    write_image(source / "masks" / "p1.jpg", gray_labels)
    return source


EXPECTED_ERRORS = [
    "images/lonely.png: has no mask masks/lonely.png",
    "images/notes.txt: not one of the image formats",
    "images/p0.png: has the same stem as p0.bmp",
    "images/torn.jpg: JPEG is truncated",
    "masks/blank.png: has no object",
    "masks/nobody.png: mask without image",
    "masks/p1.jpg: has the same stem as p1.png",
    "masks/p1_3.png: label map in color",
    "masks/wide.png: is 3x5, its image 3x4",
]


def test_all_bad_files_are_listed_in_one_error(bad_folder, tmp_path):
    with pytest.raises(ValueError, match="9 bad files") as error_info:
        prepare_folder(bad_folder, tmp_path / "data")
    error_lines = sorted(
        line.strip() for line in str(error_info.value).splitlines()[1:]
    )
    assert len(error_lines) == len(EXPECTED_ERRORS)
    for line, expected_error in zip(error_lines, EXPECTED_ERRORS, strict=True):
        assert line.startswith(expected_error)


def test_skip_bad_leaves_bad_files_out(bad_folder, tmp_path):
    examples, errors = prepare_folder(bad_folder, tmp_path / "data", skip_bad=True)
    assert sorted(examples) == ["p0", "p1"]
    np.testing.assert_array_equal(examples["p1"].layers, [LABELS])
    assert len(errors) == len(EXPECTED_ERRORS)


def test_a_wrong_source_raises_with_the_layout(tmp_path):
    with pytest.raises(ValueError, match=r"looked for .*images.*masks/STEM.png"):
        Folder(data_dir=str(tmp_path), source=str(tmp_path / "nowhere"))


def test_an_empty_source_raises(tmp_path):
    (tmp_path / "source" / "images").mkdir(parents=True)
    (tmp_path / "source" / "masks").mkdir()
    with pytest.raises(ValueError, match="no image is left"):
        prepare_folder(tmp_path / "source", tmp_path / "data")


def test_sub_folders_and_images_of_one_stem(tmp_path):
    """The annotation server names the mask of the second image after its whole name."""
    source = tmp_path / "source"
    names = ("a.bmp", "sub/a.png", "sub/deep/b.png", "twice.bmp", "twice.png")
    for name in names:
        write_image(source / "images" / name)
    masks = ("a", "sub/a_0", "sub/a_1", "sub/deep/b", "twice", "twice.png")
    for index, name in enumerate(masks):
        write_image(source / "masks" / f"{name}.png", LABELS + np.uint16(index))
    write_image(source / "masks" / "sub" / ".hidden" / "c.png", LABELS)
    examples, errors = prepare_folder(source, tmp_path / "data")
    assert sorted(examples) == ["a", "sub/a", "sub/deep/b", "twice", "twice.png"]
    np.testing.assert_array_equal(examples["sub/a"].layers, [LABELS + 1, LABELS + 2])
    np.testing.assert_array_equal(examples["twice.png"].layers, [LABELS + 5])
    assert not errors
    write_image(source / "masks" / "sub" / "nobody.png", LABELS)
    with pytest.raises(ValueError, match=r"masks/sub/nobody.png: mask without image"):
        prepare_folder(source, tmp_path / "data")


def draw_soft_mask():
    rows, columns = np.mgrid[:64, :64]
    distance = np.hypot(rows - 30, columns - 30)
    return (255 / (1 + np.exp((distance - 15) / 2))).astype(np.uint8)


def test_smoothed_mask_is_an_error_or_one_object(tmp_path):
    write_image(tmp_path / "s/images/a.png", np.zeros((64, 64, 3), np.uint8))
    write_image(tmp_path / "s/masks/a.png", draw_soft_mask())
    with pytest.raises(ValueError, match=r"masks/a.png: looks smoothed"):
        prepare_folder(tmp_path / "s", tmp_path / "data")
    splits, errors = prepare_dataset(
        Folder, tmp_path / "s", tmp_path / "data", binarize=True
    )
    assert np.unique(splits["train"]["a"].layers).tolist() == [0, 1]
    assert [*errors.remark_counts.values()] == [1]


def test_pages_are_chosen_by_number(tmp_path):
    page = np.full((3, 4, 3), 9, np.uint8)
    (tmp_path / "s/images").mkdir(parents=True)
    image = tmp_path / "s/images/a.tif"
    image.write_bytes(encode_tiff(page, page * np.uint8(2)))
    write_image(tmp_path / "s/masks/a.bmp", LABELS.astype(np.uint8))
    with pytest.raises(ValueError, match=r"images/a.tif: has 2 pages .* --page 1"):
        prepare_folder(tmp_path / "s", tmp_path / "data")
    splits, errors = prepare_dataset(Folder, tmp_path / "s", tmp_path / "data", page=2)
    assert splits["train"]["a"].image.max() == 18
    np.testing.assert_array_equal(splits["train"]["a"].layers, [LABELS])
    assert [*errors.remark_counts] == ["images: has 2 pages or frames; page 2 is read"]


def test_remarks_are_counted_once_for_the_set(tmp_path):
    for name in "ab":
        write_image(tmp_path / f"s/images/{name}.png", LABELS * np.uint16(900))
        write_image(tmp_path / f"s/masks/{name}.png", LABELS.astype(np.uint8))
    splits, errors = prepare_dataset(Folder, tmp_path / "s", tmp_path / "data")
    assert splits["train"]["a"].image.max() == 255
    assert [*errors.remark_counts.values()] == [2]
