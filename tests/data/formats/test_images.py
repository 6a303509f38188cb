import base64
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.formats.images import (
    as_labels,
    decode_labels,
    decode_picture,
    encode_jpeg,
    encode_png,
    read_foreground,
    read_labels,
    read_picture,
)
from tests.helpers.image_files import IMAGE, LABELS, write_image

RED_CMYK = base64.b64decode(  # a JPEG of 8x8 pixels as printers want it
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0s"
    "MzpKPjM2RjcsLUBXQUZMTlJTUjI+WmFaUGBKUVJP/8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EAB8A"
    "AAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUS"
    "ITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElK"
    "U1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4"
    "ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD0"
    "6vMK8wr06v/Z"
)
SMOOTH = np.repeat(np.arange(0, 240, 5, np.uint8), 144).reshape(48, 48, 3)


def png_of(depth: int, colour: int, rows: list[bytes], extra: bytes = b"") -> bytes:
    """A PNG written by hand: 2 rows, 4 columns."""

    def chunk(kind, body):
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", 4, 2, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    palette = chunk(b"PLTE", extra) if extra else b""
    return start + palette + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def with_exif(jpeg: bytes, orientation: int) -> bytes:
    """Puts an EXIF block with one entry, the orientation, into a JPEG."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@given(seed=st.integers(0, 2**32 - 1), depth=st.sampled_from([np.uint8, np.uint16]))
def test_label_maps_survive_a_png(seed, depth, tmp_path_factory):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, np.iinfo(depth).max + 1, (3, 5)).astype(depth)
    path = tmp_path_factory.getbasetemp() / "labels.png"
    path.write_bytes(encode_png(labels))
    np.testing.assert_array_equal(read_labels(path), labels)
    assert read_labels(path).dtype == np.uint16


def test_colours_keep_their_order(tmp_path):
    np.testing.assert_array_equal(decode_picture(encode_png(IMAGE)), IMAGE)
    blue = np.zeros((16, 16, 3), np.uint8)
    blue[..., 2] = 200
    np.testing.assert_allclose(decode_picture(encode_jpeg(blue)), blue, atol=4)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_plain_pictures_keep_their_bytes(name, tmp_path):
    write_image(tmp_path / name, SMOOTH)
    picture = read_picture(tmp_path / name)
    assert picture.data == (tmp_path / name).read_bytes()
    assert (picture.height, picture.width) == (48, 48)


@pytest.mark.parametrize(
    ("name", "pixels", "expected"),
    [
        ("grey.png", np.array([[1, 2]], np.uint8), [[[1] * 3, [2] * 3]]),
        ("deep.png", np.array([[0, 65535]], np.uint16), [[[0] * 3, [255] * 3]]),
        ("a.bmp", np.array([[[1, 2, 3]]], np.uint8), [[[1, 2, 3]]]),
        ("a.tiff", np.array([[[1, 2, 3]]], np.uint8), [[[1, 2, 3]]]),
    ],
)
def test_other_pictures_become_8_bit_rgb_png(name, pixels, expected, tmp_path):
    write_image(tmp_path / name, pixels)
    picture = read_picture(tmp_path / name)
    assert picture.data.startswith(b"\x89PNG")
    np.testing.assert_array_equal(decode_picture(picture.data), expected)


def test_alpha_is_dropped(tmp_path):
    bgra = np.dstack([IMAGE[..., ::-1], np.full((3, 4), 77, np.uint8)])
    cv2.imwrite(str(tmp_path / "a.png"), bgra)
    picture = read_picture(tmp_path / "a.png")
    assert picture.data != (tmp_path / "a.png").read_bytes()
    np.testing.assert_array_equal(decode_picture(picture.data), IMAGE)


def test_a_palette_picture_becomes_its_colours(tmp_path):
    palette = bytes([255, 0, 0, 0, 0, 255])
    data = png_of(8, 3, [bytes([0, 1, 0, 0]), bytes([1, 1, 0, 0])], palette)
    (tmp_path / "a.png").write_bytes(data)
    pixels = decode_picture(read_picture(tmp_path / "a.png").data)
    red, blue = [255, 0, 0], [0, 0, 255]
    np.testing.assert_array_equal(pixels[0], [red, blue, red, red])


def test_cmyk_becomes_rgb(tmp_path):
    (tmp_path / "a.jpg").write_bytes(RED_CMYK)
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.data.startswith(b"\x89PNG")
    pixels = decode_picture(picture.data)
    assert pixels.shape == (8, 8, 3)
    np.testing.assert_allclose(pixels, np.full((8, 8, 3), [255, 0, 0]), atol=3)


def test_exif_turns_the_picture(tmp_path):
    wide = np.zeros((16, 32, 3), np.uint8)
    wide[:, :16] = 255  # white on the left
    (tmp_path / "a.jpg").write_bytes(with_exif(encode_jpeg(wide), 6))
    picture = read_picture(tmp_path / "a.jpg")
    assert (picture.height, picture.width) == (32, 16)
    assert picture.data.startswith(b"\x89PNG")
    turned = decode_picture(picture.data)
    assert turned[:12].min() > 200 > 50 > turned[20:].max()  # white is on top


def test_exif_without_rotation_keeps_the_bytes(tmp_path):
    data = with_exif(encode_jpeg(SMOOTH), 1)
    (tmp_path / "a.jpg").write_bytes(data)
    assert read_picture(tmp_path / "a.jpg").data == data


def test_a_palette_mask_gives_its_entry_numbers(tmp_path):
    palette = bytes([0, 0, 0, 128, 0, 0, 9, 9, 9, 3, 3, 3])
    eight = png_of(8, 3, [bytes([0, 1, 2, 3]), bytes([3, 2, 1, 0])], palette)
    two = png_of(2, 3, [bytes([0b00011011]), bytes([0b11100100])], palette)
    for data in (eight, two):
        (tmp_path / "m.png").write_bytes(data)
        labels = read_labels(tmp_path / "m.png")
        np.testing.assert_array_equal(labels, [[0, 1, 2, 3], [3, 2, 1, 0]])


def test_a_mask_of_one_bit_gives_0_and_1(tmp_path):
    (tmp_path / "m.png").write_bytes(png_of(1, 0, [b"\x40", b"\xf0"]))
    labels = read_labels(tmp_path / "m.png")
    np.testing.assert_array_equal(labels, [[0, 1, 0, 0], [1, 1, 1, 1]])


def test_a_grey_mask_saved_as_rgb_is_read(tmp_path):
    write_image(tmp_path / "m.png", np.repeat(LABELS.astype(np.uint8)[..., None], 3, 2))
    np.testing.assert_array_equal(read_labels(tmp_path / "m.png"), LABELS)


def test_a_mask_in_colour_is_refused(tmp_path):
    write_image(tmp_path / "m.png", IMAGE)
    with pytest.raises(ValueError, match=r"colour.*grey or with a palette"):
        read_labels(tmp_path / "m.png")


def test_the_foreground_of_grey_colour_alpha_and_palette(tmp_path):
    grey = np.array([[0, 1, 127, 128]], np.uint8)
    colour = np.dstack([0 * grey, grey, 0 * grey])
    alpha = np.dstack([colour, np.full_like(grey, 255)])
    for pixels in (grey, colour, alpha):
        assert cv2.imwrite(str(tmp_path / "m.png"), pixels)
        found = read_foreground(tmp_path / "m.png")
        np.testing.assert_array_equal(found, [[False, True, True, True]])
        found = read_foreground(tmp_path / "m.png", above=127)
        np.testing.assert_array_equal(found, [[False, False, False, True]])
    black_palette = png_of(8, 3, [bytes([0, 1, 0, 0])] * 2, bytes(6))
    (tmp_path / "m.png").write_bytes(black_palette)
    assert read_foreground(tmp_path / "m.png")[0].tolist() == [
        False,
        True,
        False,
        False,
    ]


def test_labels_are_decoded_from_bytes():
    np.testing.assert_array_equal(decode_labels(encode_png(LABELS)), LABELS)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_whole_numbers_of_any_kind_are_labels(kind):
    labels = as_labels(np.array([[0, 1]], kind))
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
def test_what_is_no_label_is_refused(values, reason):
    with pytest.raises(ValueError, match=reason):
        as_labels(values)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am no picture", "not a picture"),
        (encode_png(IMAGE)[:-5], "PNG is truncated"),
        (encode_png(IMAGE)[:30], "PNG is truncated"),
        (encode_png(IMAGE)[:45] + b"X" + encode_png(IMAGE)[46:], "PNG is damaged"),
        (encode_jpeg(SMOOTH)[:-50], "JPEG is truncated"),
        (encode_jpeg(SMOOTH)[:100], "JPEG is truncated"),
        (b"\xff\xd8" + bytes(50), "JPEG is damaged"),
    ],
)
def test_bad_files_are_named(data, reason, tmp_path):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ValueError, match=reason):
        read_picture(tmp_path / "a")


@given(cut=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_whatever_is_damaged_raises_a_value_error_or_is_read(
    cut, seed, tmp_path_factory
):
    rng = np.random.default_rng(seed)
    data = bytearray([encode_png(SMOOTH), encode_jpeg(SMOOTH)][int(rng.integers(2))])
    data[int(cut * (len(data) - 1))] ^= int(rng.integers(1, 256))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(data[: int(rng.integers(1, len(data) + 1))]))
    try:
        picture = read_picture(path)
    except ValueError:
        return
    assert decode_picture(picture.data).shape == (picture.height, picture.width, 3)
