import io

import cv2
import numpy as np
import PIL
import pytest
from PIL import Image

from mst_jax.data.decoding.image_pixels import decode_pixels, read_pixels
from tests.helpers.tiff_files import encode_tiff

COLOR = np.full((2, 3, 3), [200, 100, 50], np.uint8)
OPACITY = np.array([[255, 0, 51]] * 2, np.uint8)
RGBA = np.dstack([COLOR, OPACITY])


def encode_with_pillow(image, format_name, **options):
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "TIFF"])
def test_colors_and_alpha_are_read(format_name):
    options = {"lossless": True, "exact": True} if format_name == "WEBP" else {}
    data = encode_with_pillow(Image.fromarray(RGBA), format_name, **options)
    pixels = read_pixels(data)
    np.testing.assert_allclose(pixels.alpha, OPACITY / 255, atol=1e-6)
    opacity = pixels.alpha[..., None] if pixels.is_premultiplied else 1
    np.testing.assert_allclose(pixels.values, np.rint(COLOR * opacity), atol=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("is_associated", [True, False])
def test_alpha_of_tiff_is_associated_or_not(dtype, is_associated):
    scale = np.iinfo(dtype).max // 255
    color = COLOR * (OPACITY[..., None] / 255) if is_associated else COLOR
    rgba = np.dstack([np.rint(color), OPACITY]).astype(dtype) * dtype(scale)
    data = encode_tiff(rgba, tags={338: (1 if is_associated else 2,)})
    pixels = read_pixels(data)
    opacity = 1 if pixels.is_premultiplied else pixels.alpha[..., None]
    composed = pixels.values / scale * opacity
    np.testing.assert_allclose(composed, COLOR * (OPACITY[..., None] / 255), atol=1)


ASSOCIATED = pytest.param(
    1,
    marks=pytest.mark.skipif(
        int(PIL.__version__.split(".")[0]) < 13, reason="older Pillow cannot read it"
    ),
)


@pytest.mark.parametrize("alpha_type", [ASSOCIATED, 2])
def test_gray_tiff_has_alpha(alpha_type):
    gray_alpha = np.dstack([np.full((2, 3), 40, np.uint8), OPACITY])
    pixels = read_pixels(encode_tiff(gray_alpha, tags={338: (alpha_type,)}))
    np.testing.assert_allclose(pixels.alpha, OPACITY / 255, atol=1e-6)
    assert pixels.values.shape == (2, 3, 1)
    assert pixels.is_premultiplied == (alpha_type == 1)


def test_fourth_channel_that_is_not_marked_as_alpha_is_left_out():
    pixels = read_pixels(encode_tiff(RGBA, tags={338: (0,)}))
    np.testing.assert_array_equal(pixels.values, COLOR)
    assert pixels.alpha is None and "first 3 of 4 channels" in pixels.remarks[0]


def test_transparent_gray_value_of_png():
    gray = np.array([[7, 8, 9]], np.uint8)
    data = encode_with_pillow(Image.fromarray(gray), "PNG", transparency=8)
    np.testing.assert_array_equal(read_pixels(data).alpha, [[1, 0, 1]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["PNG", "WEBP"])
def test_orientation_is_that_of_opencv(orientation, format_name):
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(np.arange(36, dtype=np.uint8).reshape(3, 4, 3) * 7)
    data = encode_with_pillow(image, format_name, exif=exif, lossless=True)
    expected = decode_pixels(data, cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(read_pixels(data).values, expected)


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "GIF", "TIFF"])
def test_pages_are_read(format_name):
    frames = [Image.new("RGB", (4, 3), color) for color in ("red", "lime", "blue")]
    options = {"save_all": True, "append_images": frames[1:], "lossless": True}
    data = encode_with_pillow(frames[0], format_name, **options)
    for page_index, color in enumerate(np.eye(3, dtype=np.uint8) * 255):
        values = read_pixels(data, page_index=page_index).values
        np.testing.assert_array_equal(values[0, 0], color)
    with pytest.raises(ValueError, match=r"page|cannot be read"):
        read_pixels(data, page_index=7)


@pytest.mark.parametrize(
    ("pixels", "tags", "reason"),
    [
        (np.zeros((2, 3, 5), np.uint8), {338: (0, 0)}, "5 channels"),
        (np.zeros((2, 3, 4), np.uint8), {262: (1,), 338: (0, 0, 0)}, "not marked as"),
        (np.zeros((2, 3, 2), np.uint16), {338: (2,)}, "two channels of 16 bits"),
        (np.zeros((2, 3, 3), np.uint16), {284: (2,)}, "a plane of 16 bits"),
        (np.zeros((2, 3, 3), np.uint8), {262: (8,)}, "save it as RGB"),
        (np.zeros((2, 3, 4), np.uint16), {262: (5,)}, "save it as RGB"),
    ],
)
def test_tiff_that_would_be_read_wrongly_is_refused(pixels, tags, reason):
    with pytest.raises(ValueError, match=reason):
        read_pixels(encode_tiff(pixels, tags=tags))


def test_pixels_without_data_do_not_count():
    values = np.array([[1.0, np.nan, -9999.0]], np.float32)
    pixels = read_pixels(encode_tiff(values, tags={42113: "-9999"}))
    assert pixels.find_present().tolist() == [[True, False, False]]
