import io

import cv2
import numpy as np
import pytest
from PIL import Image

from mst_jax.data.decoding.mask_values import read_mask_values
from tests.helpers.image_files import encode_raw_png
from tests.helpers.tiff_files import encode_tiff

INDICES = np.array([[0, 1, 2, 3], [3, 2, 1, 0]], np.uint8)
COLORS = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
GRAYS = [0, 0, 0, 80, 80, 80, 160, 160, 160, 240, 240, 240]


def encode_palette(format_name, palette):
    image = Image.fromarray(INDICES, "P")
    image.putpalette(palette)
    file = io.BytesIO()
    image.save(file, format_name)
    return file.getvalue()


@pytest.mark.parametrize("format_name", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("palette", [COLORS, GRAYS])
def test_palette_indices_are_the_values(format_name, palette):
    stored = read_mask_values(encode_palette(format_name, palette))
    np.testing.assert_array_equal(stored.values[..., 0], INDICES)
    assert stored.is_palette


@pytest.mark.parametrize("format_name", ["PNG", "BMP", "TIFF"])
def test_reordered_gray_palette_gives_the_grays(format_name):
    # Index 0 is white: the indices were sorted by frequency.
    data = encode_palette(format_name, [255] * 3 + [0] * 3 + [128] * 3 + [9] * 3)
    stored = read_mask_values(data)
    np.testing.assert_array_equal(stored.values[0, :, 0], [255, 0, 128, 9])
    assert not stored.is_palette


@pytest.mark.parametrize("format_name", ["PNG", "BMP", "TIFF"])
def test_colors_of_a_palette_are_read_on_demand(format_name):
    data = encode_palette(format_name, COLORS)
    stored = read_mask_values(data, palette_as_colors=True)
    assert stored.values[0].max(-1).tolist() == [0, 128, 128, 128]


def test_one_bit_has_the_white_value_1():
    png = encode_raw_png([b"\x40", b"\xf0"], width=4, bit_depth=1)
    stored = read_mask_values(png)
    assert stored.white_value == 1 and stored.values[0, :, 0].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_whole_numbers_of_any_type_are_read_from_tiff(dtype):
    values = np.array([[0, 1, 300]], dtype)
    stored = read_mask_values(encode_tiff(values))
    np.testing.assert_array_equal(stored.values[..., 0], values)


def test_transparent_pixels_are_background():
    white = np.full((1, 3), 255, np.uint8)
    alpha = np.array([[255, 0, 128]], np.uint8)
    png = cv2.imencode(".png", np.dstack([white, white, white, alpha]))[1].tobytes()
    assert read_mask_values(png).values[0, :, 0].tolist() == [255, 0, 128]


def test_white_stored_as_zero_is_refused():
    with pytest.raises(ValueError, match="0 as white"):
        read_mask_values(encode_tiff(INDICES, tags={262: (0,)}))


def test_pages_need_a_choice():
    data = encode_tiff(INDICES, INDICES + np.uint8(1))
    with pytest.raises(ValueError, match="has 2 pages"):
        read_mask_values(data)
    second = read_mask_values(data, page=2).values[..., 0]
    np.testing.assert_array_equal(second, INDICES + 1)
