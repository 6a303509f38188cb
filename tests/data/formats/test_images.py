import base64
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_alpha_is_dropped(tmp_path):
    bgra = np.dstack([IMAGE[..., ::-1], np.full((3, 4), 77, np.uint8)])
    cv2.imwrite(str(tmp_path / "a.png"), bgra)
    encoded = read_image(tmp_path / "a.png")
    assert encoded.data != (tmp_path / "a.png").read_bytes()
    np.testing.assert_array_equal(decode_image(encoded.data), IMAGE)


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
