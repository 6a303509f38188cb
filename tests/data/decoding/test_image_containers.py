import struct

import numpy as np
import pytest

from mst_jax.data.decoding.image_containers import (
    PNG_GRAY,
    PNG_PALETTE,
    check_complete,
    count_jpeg_channels,
    is_plain_rgb,
    palette_png_to_gray,
    read_png_chunks,
    read_png_header,
)
from mst_jax.data.formats.images import decode_image, encode_jpeg, encode_png
from tests.helpers.image_files import (
    IMAGE,
    LABELS,
    SMOOTH_IMAGE,
    encode_png_chunk,
    encode_raw_png,
)

RGB_PNG, RGB_JPEG = encode_png(IMAGE), encode_jpeg(SMOOTH_IMAGE)
PALETTE_PNG = encode_raw_png(
    [bytes([0, 1, 1, 0])], width=4, color_type=3, palette=bytes([9, 9, 9, 70, 80, 90])
)


def test_complete_files_and_other_formats_pass():
    for data in (RGB_PNG, RGB_JPEG, b"BM and so on"):
        check_complete(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "file is empty"),
        (RGB_PNG[:-1], "PNG is truncated"),
        (RGB_PNG.replace(b"IDAT", b"IDAX"), "wrong checksum"),
        (RGB_JPEG[:-2], "JPEG is truncated"),
        (b"\xff\xd8\x00" + RGB_JPEG[3:], "JPEG is damaged"),
    ],
)
def test_damaged_container_raises(data, reason):
    with pytest.raises(ValueError, match=reason):
        check_complete(data)


def test_chunks_of_a_png_end_with_iend():
    header, *_, end = read_png_chunks(RGB_PNG + b"bytes behind the end")
    assert header.chunk_type == b"IHDR"
    assert struct.unpack(">II", header.body[:8]) == (4, 3)
    assert end == (b"IEND", b"")


def test_header_holds_bit_depth_and_color_type():
    assert read_png_header(encode_png(LABELS)) == (16, PNG_GRAY)
    assert read_png_header(PALETTE_PNG) == (8, PNG_PALETTE)
    short = b"\x89PNG\r\n\x1a\n" + encode_png_chunk(b"IHDR", b"\0" * 8)
    with pytest.raises(ValueError, match="short header"):
        read_png_header(short)


def test_palette_png_becomes_its_indices():
    gray_png = palette_png_to_gray(PALETTE_PNG)
    np.testing.assert_array_equal(decode_image(gray_png)[0, :, 0], [0, 1, 1, 0])


def test_plain_rgb_has_8_bits_3_channels_and_no_transparency():
    assert is_plain_rgb(RGB_PNG) and is_plain_rgb(RGB_JPEG)
    transparent = encode_png_chunk(b"tRNS", bytes(6))
    start = RGB_PNG.index(b"IDAT") - 4
    for data in (
        RGB_PNG[:start] + transparent + RGB_PNG[start:],
        encode_png(LABELS),
        PALETTE_PNG,
        b"BM and so on",
    ):
        assert not is_plain_rgb(data)


def test_channels_of_a_jpeg_after_fill_bytes():
    assert count_jpeg_channels(RGB_JPEG) == 3
    assert count_jpeg_channels(RGB_JPEG[:2] + b"\xff\xff" + RGB_JPEG[2:]) == 3
