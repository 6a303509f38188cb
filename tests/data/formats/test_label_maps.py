import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.decoding.smoothed_masks import SmoothedMaskError
from mst_jax.data.formats.images import encode_png
from mst_jax.data.formats.label_maps import (
    decode_binary_mask,
    decode_label_map,
    decode_object_mask,
    drop_labels,
    find_small_objects,
    find_sparse_objects,
    read_binary_mask,
    read_label_map,
    split_components,
    to_label_map,
)
from tests.helpers.image_files import IMAGE, LABELS, encode_raw_png, write_image
from tests.helpers.tiff_files import encode_tiff

MASK = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 1, 0, 0]], bool)


@given(seed=st.integers(0, 2**32 - 1), depth=st.sampled_from([np.uint8, np.uint16]))
def test_label_map_survives_a_png(seed, depth, tmp_path_factory):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, np.iinfo(depth).max + 1, (3, 5)).astype(depth)
    path = tmp_path_factory.getbasetemp() / "labels.png"
    path.write_bytes(encode_png(labels))
    np.testing.assert_array_equal(read_label_map(path), labels)
    assert read_label_map(path).dtype == np.uint16


def test_palette_indices_are_the_labels(tmp_path):
    palette = bytes([0, 0, 0, 128, 0, 0, 9, 9, 9, 3, 3, 3])
    options = dict(width=4, color_type=3, palette=palette)
    rows_of_8_bits = [bytes([0, 1, 2, 3]), bytes([3, 2, 1, 0])]
    rows_of_2_bits = [bytes([0b00011011]), bytes([0b11100100])]
    for png in (
        encode_raw_png(rows_of_8_bits, **options),
        encode_raw_png(rows_of_2_bits, bit_depth=2, **options),
    ):
        (tmp_path / "m.png").write_bytes(png)
        labels = read_label_map(tmp_path / "m.png")
        np.testing.assert_array_equal(labels, [[0, 1, 2, 3], [3, 2, 1, 0]])


def test_one_bit_gives_labels_0_and_1(tmp_path):
    png = encode_raw_png([b"\x40", b"\xf0"], width=4, bit_depth=1)
    (tmp_path / "m.png").write_bytes(png)
    labels = read_label_map(tmp_path / "m.png")
    np.testing.assert_array_equal(labels, [[0, 1, 0, 0], [1, 1, 1, 1]])


def test_gray_label_map_saved_as_rgb_is_read(tmp_path):
    write_image(tmp_path / "m.png", np.repeat(LABELS.astype(np.uint8)[..., None], 3, 2))
    np.testing.assert_array_equal(read_label_map(tmp_path / "m.png"), LABELS)


def test_label_map_in_color_is_rejected(tmp_path):
    write_image(tmp_path / "m.png", IMAGE)
    with pytest.raises(ValueError, match=r"color.*gray or with a palette"):
        read_label_map(tmp_path / "m.png")


def test_binary_mask_of_gray_color_alpha_and_palette(tmp_path):
    gray = np.array([[0, 1, 127, 128]], np.uint8)
    color = np.dstack([0 * gray, gray, 0 * gray])
    alpha = np.dstack([color, np.full_like(gray, 255)])
    for pixels in (gray, color, alpha):
        assert cv2.imwrite(str(tmp_path / "m.png"), pixels)
        mask = read_binary_mask(tmp_path / "m.png")
        np.testing.assert_array_equal(mask, [[False, True, True, True]])
        mask = read_binary_mask(tmp_path / "m.png", threshold=127)
        np.testing.assert_array_equal(mask, [[False, False, False, True]])
    black_palette = encode_raw_png(
        [bytes([0, 1, 0, 0])] * 2, width=4, color_type=3, palette=bytes(6)
    )
    (tmp_path / "m.png").write_bytes(black_palette)
    mask = read_binary_mask(tmp_path / "m.png")
    np.testing.assert_array_equal(mask[0], [False, True, False, False])


def test_label_map_is_decoded_from_bytes():
    np.testing.assert_array_equal(decode_label_map(encode_png(LABELS)), LABELS)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_whole_numbers_of_any_dtype_are_labels(dtype):
    labels = to_label_map(np.array([[0, 1]], dtype))
    assert labels.dtype == np.uint16 and labels.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([[0.5]]), "fractions"),
        (np.array([[-1]]), "labels -1 to -1, expected 0 to 65534"),
        (np.array([[65535]]), "labels 65535"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.zeros((0, 2)), r"shape \(0, 2\)"),
        (np.array([["a"]]), "of <U1"),
        (np.array([[np.nan]]), "fractions"),
    ],
)
def test_values_that_are_no_labels_are_rejected(values, reason):
    with pytest.raises(ValueError, match=reason):
        to_label_map(values)


def test_components_split_at_corners_unless_diagonals_connect():
    np.testing.assert_array_equal(
        split_components(MASK, diagonal=False),
        [[1, 0, 0, 2], [0, 3, 0, 2], [0, 3, 0, 0]],
    )
    np.testing.assert_array_equal(
        split_components(MASK, diagonal=True),
        [[1, 0, 0, 2], [0, 1, 0, 2], [0, 1, 0, 0]],
    )


@given(seed=st.integers(0, 2**32 - 1), diagonal=st.booleans())
def test_components_cover_the_mask_and_nothing_else(seed, diagonal):
    mask = np.random.default_rng(seed).random((7, 9)) < 0.5
    components = split_components(mask, diagonal=diagonal)
    np.testing.assert_array_equal(components > 0, mask)
    assert components.dtype == np.uint16


def test_more_components_than_labels_are_rejected():
    mask = np.zeros((600, 600), bool)
    mask[::2, ::2] = True
    with pytest.raises(ValueError, match="has 90000 components"):
        split_components(mask, diagonal=False)


def test_small_objects_are_found_but_not_background_or_ignored_pixels():
    labels = np.array([[0, 1, 2, 2, 65535, 7, 7, 7]], np.uint16)
    assert find_small_objects(labels, min_area=2) == [1]
    assert find_small_objects(labels, min_area=3) == [1, 2]


def test_objects_that_fill_too_little_of_their_box_are_found():
    labels = np.zeros((10, 10), np.uint16)
    labels[0, 0] = labels[9, 9] = 5  # 2 of 100
    labels[2:4, 2:4] = 6
    labels[0, 9] = labels[1, 8] = 65535
    assert find_sparse_objects(labels, min_fill=0.08) == [5]
    labels[9, :8] = 5  # now 10 of 100
    assert find_sparse_objects(labels, min_fill=0.08) == []
    assert find_sparse_objects(labels, min_fill=0.11) == [5]


def test_dropped_labels_become_background():
    labels = np.array([[1, 2, 65535]], np.uint16)
    remaining = drop_labels(labels, [2])
    np.testing.assert_array_equal(remaining, [[1, 0, 65535]])
    assert remaining.dtype == np.uint16


def draw_soft_mask(dtype=np.uint8):
    rows, columns = np.mgrid[:64, :64]
    distance = np.hypot(rows - 30, columns - 34)
    white = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    return (white / (1 + np.exp((distance - 15) / 2))).astype(dtype), distance < 15


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_soft_mask_is_refused_or_read_as_one_object(dtype):
    soft, expected = draw_soft_mask(dtype)
    for decode in (decode_label_map, decode_object_mask):
        with pytest.raises(SmoothedMaskError, match="--binarize"):
            decode(encode_png(soft))
        mask = decode(encode_png(soft), binarize=True)
        assert np.count_nonzero(mask != expected) < 20 and mask.max() == 1


def test_float_mask_of_fractions_is_refused_or_read_as_one_object():
    soft, expected = draw_soft_mask(np.float32)
    tiff = encode_tiff(soft)
    with pytest.raises(SmoothedMaskError):
        decode_label_map(tiff)
    mask = decode_label_map(tiff, binarize=True)
    assert np.count_nonzero(mask != expected) < 20


def test_binarize_keeps_the_objects_of_a_sharp_map():
    labels = np.kron(LABELS, np.ones((20, 20), np.uint16))
    np.testing.assert_array_equal(
        decode_label_map(encode_png(labels), binarize=True), labels
    )


def test_threshold_is_that_of_8_bits_whatever_the_depth():
    for white in (np.uint8(255), np.uint16(65535)):
        png = encode_png(np.array([[0, white // 3, white]], white.dtype))
        assert decode_binary_mask(png, threshold=127).tolist() == [[False, False, True]]
    png = encode_raw_png([b"\x40", b"\xf0"], width=4, bit_depth=1)
    mask = decode_binary_mask(png, threshold=127)
    assert mask[0].tolist() == [False, True, False, False]
