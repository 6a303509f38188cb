import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mst_jax.annotation.files.uploads import (
    FORMATS,
    open_labels,
    open_mask,
    open_picture,
    read_header,
)
from mst_jax.annotation.limits import Limits, Refused
from mst_jax.data.formats.images import decode_picture, encode_png

LIMITS = Limits(pixels=10_000, side=1000)
PIXELS = np.stack(np.mgrid[0:200:5, 0:240:4], -1)[..., [0, 1, 1]].astype(np.uint8)


def encoded(format: str, pixels=PIXELS, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def bomb(height: int, width: int) -> bytes:
    """A PNG of a few kilobytes that says it is as large as this, all black."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10**6))
    parts = (b"IHDR", header), (b"IDAT", data), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def refusal(function, *args) -> Refused:
    with pytest.raises(Refused) as caught:
        function(*args)
    return caught.value


def opened(data: bytes) -> np.ndarray:
    picture = open_picture(data, LIMITS)
    pixels = decode_picture(picture.data)
    assert pixels.shape == (picture.height, picture.width, 3)
    return pixels


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_measured_and_decoded(format):
    data = encoded(format)
    assert read_header(io.BytesIO(data), LIMITS) == (format, 40, 60)
    near = np.abs(opened(data).astype(int) - PIXELS).mean()
    assert near < (5 if format in ("JPEG", "WEBP") else 1e-9)


def test_the_three_kinds_of_webp_are_measured():
    see_through = np.dstack([PIXELS, PIXELS[..., 0]])
    kinds = {b"VP8 ": encoded("WEBP"), b"VP8L": encoded("WEBP", lossless=True)}
    kinds[b"VP8X"] = encoded("WEBP", see_through)
    for kind, data in kinds.items():
        assert data[12:16] == kind
        assert read_header(io.BytesIO(data), LIMITS) == ("WEBP", 40, 60)


def test_kinds_of_pixels_become_rgb_of_8_bits():
    grey, deep = PIXELS[..., 0], PIXELS[..., 0].astype(np.uint16) * 257
    three = np.repeat(grey[..., None], 3, axis=-1)
    same = np.testing.assert_array_equal
    same(opened(encode_png(grey)), three)
    same(opened(encode_png(deep)), three)
    same(opened(encoded("PNG", np.dstack([PIXELS, grey]))), PIXELS)
    palette = Image.fromarray(PIXELS).convert("P")
    file = io.BytesIO()
    palette.save(file, "PNG")
    same(opened(file.getvalue()), np.asarray(palette.convert("RGB")))


def test_a_picture_is_turned_as_its_exif_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = 255
    turned = opened(encoded("JPEG", pixels, exif=exif, quality=95))
    assert turned.shape == (60, 40, 3)
    assert turned[:28].min() > 200 and turned[32:].max() < 50


@pytest.mark.parametrize(
    "shape", [(100, 101), (2, 1001), (20_000, 20_000), (2**31 - 1,) * 2]
)
def test_a_bomb_is_refused_before_there_is_room_for_it(shape):
    data = bomb(*shape)
    tracemalloc.start()
    error = refusal(open_picture, data, LIMITS)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.status_code == 413 and "smaller" in error.detail
    assert len(data) < 2000 and most < 300_000


def test_a_webp_bomb_is_refused():
    sides = (16_382).to_bytes(3, "little") * 2
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + sides
    data = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
    assert refusal(open_picture, data, LIMITS).status_code == 413


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"hello", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8X", b"<svg/>"),
        *(encoded("GIF"), bomb(0, 5), bomb(99, 99)[:-20]),
        *(encoded(format)[:-900] for format in FORMATS),
    ],
    ids=range(13),
)
def test_what_is_no_picture_is_refused(data):
    error = refusal(open_picture, data, LIMITS)
    assert error.status_code == 415 and "JPEG" in error.detail


@given(data=st.data())
def test_a_damaged_picture_is_opened_or_refused(data):
    file = bytearray(encoded(data.draw(st.sampled_from(sorted(FORMATS)))))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(file), 200) - 1))
        file[place] = data.draw(st.integers(0, 255))
    try:
        open_picture(bytes(file), LIMITS)
    except Refused as error:
        assert error.status_code in (413, 415)


def test_a_mask_is_where_anything_is():
    mask = np.zeros((3, 4), np.uint8)
    mask[1, 2], mask[2, 0] = 255, 1
    same = np.testing.assert_array_equal
    same(open_mask(encode_png(mask), 3, 4, LIMITS), mask > 0)
    black = np.zeros((3, 4, 4), np.uint8)
    black[..., 3] = 255  # what a browser's canvas makes of it
    black[mask > 0, :3] = 255
    same(open_mask(encoded("PNG", black), 3, 4, LIMITS), mask > 0)


def test_a_label_map_is_read_by_its_numbers():
    labels = np.array([[0, 1], [300, 2]], np.uint16)
    same = np.testing.assert_array_equal
    same(open_labels(encode_png(labels), 2, 2, LIMITS), labels)


def test_a_mask_of_another_size_is_refused():
    error = refusal(open_mask, encode_png(np.ones((3, 4), np.uint8)), 4, 3, LIMITS)
    assert error.status_code == 400
    assert "3 rows and 4 columns, expected 4 and 3" in error.detail
    assert refusal(open_labels, bomb(9999, 9999), 4, 3, LIMITS).status_code == 413
