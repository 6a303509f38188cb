import base64
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mst_jax.data.formats.images import (
    decode_image,
    encode_jpeg,
    encode_png,
    read_image,
)
from tests.helpers.image_files import (
    IMAGE,
    SMOOTH_IMAGE,
    encode_raw_png,
    write_image,
)
from tests.helpers.tiff_files import encode_tiff

# A JPEG of 8x8 pixels in the colors of a printer.
RED_CMYK = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0s"
    "MzpKPjM2RjcsLUBXQUZMTlJTUjI+WmFaUGBKUVJP/8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EAB8A"
    "AAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUS"
    "ITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElK"
    "U1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4"
    "ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD0"
    "6vMK8wr06v/Z"
)


def add_exif(jpeg: bytes, orientation: int) -> bytes:
    """Put an EXIF block with one entry, the orientation, into a JPEG."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def test_channels_keep_their_order():
    np.testing.assert_array_equal(decode_image(encode_png(IMAGE)), IMAGE)
    blue = np.zeros((16, 16, 3), np.uint8)
    blue[..., 2] = 200
    np.testing.assert_allclose(decode_image(encode_jpeg(blue)), blue, atol=4)


@pytest.mark.parametrize("file_name", ["a.jpg", "a.png"])
def test_plain_rgb_files_keep_their_bytes(file_name, tmp_path):
    write_image(tmp_path / file_name, SMOOTH_IMAGE)
    encoded = read_image(tmp_path / file_name)
    assert encoded.data == (tmp_path / file_name).read_bytes()
    assert (encoded.height, encoded.width) == (48, 48)


@pytest.mark.parametrize(
    ("file_name", "pixels", "expected"),
    [
        ("gray.png", np.array([[1, 2]], np.uint8), [[[1] * 3, [2] * 3]]),
        ("deep.png", np.array([[0, 65535]], np.uint16), [[[0] * 3, [255] * 3]]),
        ("a.bmp", np.array([[[1, 2, 3]]], np.uint8), [[[1, 2, 3]]]),
        ("a.tiff", np.array([[[1, 2, 3]]], np.uint8), [[[1, 2, 3]]]),
    ],
)
def test_other_formats_become_8_bit_rgb_png(file_name, pixels, expected, tmp_path):
    write_image(tmp_path / file_name, pixels)
    encoded = read_image(tmp_path / file_name)
    assert encoded.data.startswith(b"\x89PNG")
    np.testing.assert_array_equal(decode_image(encoded.data), expected)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_transparency_is_composed_on_white(suffix, tmp_path):
    alpha = np.repeat(np.array([[255, 0, 51, 128]], np.uint8), 3, axis=0)
    opacity = alpha[..., None] / 255
    path = tmp_path / f"a{suffix}"
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    Image.fromarray(np.dstack([IMAGE, alpha])).save(path, **options)
    encoded = read_image(path)
    assert encoded.data != path.read_bytes()
    assert encoded.remarks == ("transparency is composed on white",)
    expected = IMAGE * opacity + 255 * (1 - opacity)
    np.testing.assert_allclose(decode_image(encoded.data), expected, atol=1)


def test_gray_and_palette_transparency_is_composed_on_white(tmp_path):
    palette_image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    palette_image.putpalette([0, 0, 0, 9, 9, 9, 30, 30, 30])
    palette_image.save(tmp_path / "p.png", transparency=0)
    gray_alpha = np.array([[[0, 0], [9, 255], [30, 255]]], np.uint8)
    Image.fromarray(gray_alpha, "LA").save(tmp_path / "g.png")
    gray = Image.fromarray(np.array([[5, 9, 30]], np.uint8))
    gray.save(tmp_path / "k.png", transparency=5)
    for stem in "pgk":
        pixels = decode_image(read_image(tmp_path / f"{stem}.png").data)
        assert pixels[0, :, 0].tolist() == [255, 9, 30]


def test_opaque_alpha_makes_no_remark_and_an_invisible_image_is_refused(tmp_path):
    for opacity in (255, 0):
        alpha = np.full((3, 4), opacity, np.uint8)
        Image.fromarray(np.dstack([IMAGE, alpha])).save(tmp_path / "a.png")
        if opacity:
            encoded = read_image(tmp_path / "a.png")
            assert not encoded.remarks
            np.testing.assert_array_equal(decode_image(encoded.data), IMAGE)
        else:
            with pytest.raises(ValueError, match="every pixel is transparent"):
                read_image(tmp_path / "a.png")


@pytest.mark.parametrize("num_bits", [10, 12, 14])
def test_values_of_few_bits_in_16_are_stretched(num_bits, tmp_path):
    gradient = np.linspace(1, 2**num_bits - 1, 4000).reshape(40, 100)
    write_image(tmp_path / "a.png", gradient.astype(np.uint16))
    encoded = read_image(tmp_path / "a.png")
    assert "stretched" in encoded.remarks[0]
    gray = decode_image(encoded.data)[..., 0]
    assert gray.min() == 0 and gray.max() == 255
    np.testing.assert_allclose(gray, np.linspace(0, 255, 4000).reshape(40, 100), atol=3)


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.int16, np.int32, np.uint32]
)
def test_tiff_of_any_number_type_is_stretched(dtype, tmp_path):
    values = np.linspace(10, 400, 4000).reshape(40, 100).astype(dtype)
    (tmp_path / "a.tif").write_bytes(encode_tiff(values))
    encoded = read_image(tmp_path / "a.tif")
    assert "stretched" in encoded.remarks[0]
    gray = decode_image(encoded.data)[..., 0]
    np.testing.assert_allclose(gray, np.linspace(0, 255, 4000).reshape(40, 100), atol=3)


def test_one_of_several_pages_is_read(tmp_path):
    pages = [np.full((3, 4), 50 * k, np.uint8) for k in (1, 2, 3)]
    (tmp_path / "a.tif").write_bytes(encode_tiff(*pages))
    with pytest.raises(ValueError, match="has 3 pages or frames; choose one"):
        read_image(tmp_path / "a.tif")
    encoded = read_image(tmp_path / "a.tif", page=2)
    assert encoded.remarks == ("has 3 pages or frames; page 2 is read",)
    assert decode_image(encoded.data)[0, 0].tolist() == [100, 100, 100]


def test_first_frame_of_an_animation_does_not_keep_the_others(tmp_path):
    frames = [Image.new("RGB", (4, 3), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    encoded = read_image(tmp_path / "a.png", page=1)
    assert b"acTL" not in encoded.data
    assert decode_image(encoded.data)[0, 0].tolist() == [255, 0, 0]


def test_palette_image_becomes_its_colors(tmp_path):
    palette = bytes([255, 0, 0, 0, 0, 255])
    packed_rows = [bytes([0, 1, 0, 0]), bytes([1, 1, 0, 0])]
    png = encode_raw_png(packed_rows, width=4, color_type=3, palette=palette)
    (tmp_path / "a.png").write_bytes(png)
    pixels = decode_image(read_image(tmp_path / "a.png").data)
    red, blue = [255, 0, 0], [0, 0, 255]
    np.testing.assert_array_equal(pixels[0], [red, blue, red, red])


def test_cmyk_becomes_rgb(tmp_path):
    (tmp_path / "a.jpg").write_bytes(RED_CMYK)
    encoded = read_image(tmp_path / "a.jpg")
    assert encoded.data.startswith(b"\x89PNG")
    pixels = decode_image(encoded.data)
    assert pixels.shape == (8, 8, 3)
    np.testing.assert_allclose(pixels, np.full((8, 8, 3), [255, 0, 0]), atol=3)


def test_exif_orientation_rotates_the_image(tmp_path):
    wide = np.zeros((16, 32, 3), np.uint8)
    wide[:, :16] = 255  # white on the left
    (tmp_path / "a.jpg").write_bytes(add_exif(encode_jpeg(wide), 6))
    encoded = read_image(tmp_path / "a.jpg")
    assert (encoded.height, encoded.width) == (32, 16)
    assert encoded.data.startswith(b"\x89PNG")
    rotated = decode_image(encoded.data)
    assert rotated[:12].min() > 200 > 50 > rotated[20:].max()  # white is on top


def test_exif_without_rotation_keeps_the_bytes(tmp_path):
    jpeg = add_exif(encode_jpeg(SMOOTH_IMAGE), 1)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    assert read_image(tmp_path / "a.jpg").data == jpeg


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am no image", "not an image"),
        (encode_png(IMAGE)[:-5], "PNG is truncated"),
        (encode_png(IMAGE)[:30], "PNG is truncated"),
        (encode_png(IMAGE)[:45] + b"X" + encode_png(IMAGE)[46:], "PNG is damaged"),
        (encode_jpeg(SMOOTH_IMAGE)[:-50], "JPEG is truncated"),
        (encode_jpeg(SMOOTH_IMAGE)[:100], "JPEG is truncated"),
        (b"\xff\xd8" + bytes(50), "JPEG is damaged"),
    ],
)
def test_bad_files_raise_with_the_reason(data, reason, tmp_path):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ValueError, match=reason):
        read_image(tmp_path / "a")


@given(cut=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_damaged_file_raises_value_error_or_is_read(cut, seed, tmp_path_factory):
    rng = np.random.default_rng(seed)
    encodings = [encode_png(SMOOTH_IMAGE), encode_jpeg(SMOOTH_IMAGE)]
    data = bytearray(encodings[int(rng.integers(2))])
    data[int(cut * (len(data) - 1))] ^= int(rng.integers(1, 256))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(data[: int(rng.integers(1, len(data) + 1))]))
    try:
        encoded = read_image(path)
    except ValueError:
        return
    assert decode_image(encoded.data).shape == (encoded.height, encoded.width, 3)
