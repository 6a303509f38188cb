import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.uploads import (
    IMAGE_MEDIA_TYPES,
    open_image,
    open_label_map,
    open_mask,
    read_image_header,
)
from mst_jax.annotation.limits import Limits
from mst_jax.data.formats.images import decode_image, encode_png

LIMITS = Limits(max_pixels=10_000, max_side=1000)
PIXELS = np.stack(np.mgrid[0:200:5, 0:240:4], -1)[..., [0, 1, 1]].astype(np.uint8)
same = np.testing.assert_array_equal


def encode_image(image_format: str, pixels=PIXELS, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format, **options)
    return file.getvalue()


def encode_png_chunk(chunk_type: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(chunk_type + body))
    return struct.pack(">I", len(body)) + chunk_type + body + checksum


def make_bomb(height: int, width: int) -> bytes:
    """Return a PNG of a few kilobytes whose header claims this size, all black."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10**6))
    chunks = (b"IHDR", header), (b"IDAT", data), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(encode_png_chunk(*chunk) for chunk in chunks)


def catch_rejection(function, *args) -> RequestRejected:
    with pytest.raises(RequestRejected) as caught:
        function(*args)
    return caught.value


def open_pixels(data: bytes) -> np.ndarray:
    image = open_image(data, LIMITS)
    pixels = decode_image(image.data)
    assert pixels.shape == (image.height, image.width, 3)
    return pixels


@pytest.mark.parametrize("image_format", IMAGE_MEDIA_TYPES)
def test_every_format_is_measured_and_decoded(image_format):
    data = encode_image(image_format)
    assert read_image_header(io.BytesIO(data), LIMITS) == (image_format, 40, 60)
    mean_difference = np.abs(open_pixels(data).astype(int) - PIXELS).mean()
    assert mean_difference < (5 if image_format in ("JPEG", "WEBP") else 1e-9)


def test_three_kinds_of_webp_are_measured():
    transparent = np.dstack([PIXELS, PIXELS[..., 0]])
    files = {
        b"VP8 ": encode_image("WEBP"),
        b"VP8L": encode_image("WEBP", lossless=True),
        b"VP8X": encode_image("WEBP", transparent),
    }
    for chunk_type, data in files.items():
        assert data[12:16] == chunk_type
        assert read_image_header(io.BytesIO(data), LIMITS) == ("WEBP", 40, 60)


def test_pixel_formats_become_8_bit_rgb():
    gray, deep_gray = PIXELS[..., 0], PIXELS[..., 0].astype(np.uint16) * 257
    three_channels = np.repeat(gray[..., None], 3, axis=-1)
    same(open_pixels(encode_png(gray)), three_channels)
    same(open_pixels(encode_png(deep_gray)), three_channels)
    opacity = gray[..., None] / 255
    transparent = open_pixels(encode_image("PNG", np.dstack([PIXELS, gray])))
    np.testing.assert_allclose(
        transparent, PIXELS * opacity + 255 * (1 - opacity), atol=1
    )
    palette_image = Image.fromarray(PIXELS).convert("P")
    file = io.BytesIO()
    palette_image.save(file, "PNG")
    same(open_pixels(file.getvalue()), np.asarray(palette_image.convert("RGB")))


def test_image_is_rotated_as_its_exif_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = 255
    rotated = open_pixels(encode_image("JPEG", pixels, exif=exif, quality=95))
    assert rotated.shape == (60, 40, 3)
    assert rotated[:28].min() > 200 and rotated[32:].max() < 50


@pytest.mark.parametrize(
    "shape", [(100, 101), (2, 1001), (20_000, 20_000), (2**31 - 1,) * 2]
)
def test_bomb_is_rejected_before_memory_is_allocated(shape):
    data = make_bomb(*shape)
    tracemalloc.start()
    error = catch_rejection(open_image, data, LIMITS)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.status_code == 413 and "smaller" in error.detail
    assert len(data) < 2000 and peak_bytes < 300_000


def test_webp_bomb_is_rejected():
    sides = (16_382).to_bytes(3, "little") * 2
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + sides
    data = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
    assert catch_rejection(open_image, data, LIMITS).status_code == 413


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"hello", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8X", b"<svg/>"),
        *(encode_image("GIF"), make_bomb(0, 5), make_bomb(99, 99)[:-20]),
        *(encode_image(image_format)[:-900] for image_format in IMAGE_MEDIA_TYPES),
    ],
    ids=range(13),
)
def test_unreadable_images_are_rejected(data):
    error = catch_rejection(open_image, data, LIMITS)
    assert error.status_code == 415 and "JPEG" in error.detail


@given(data=st.data())
def test_damaged_image_is_opened_or_rejected(data):
    image_format = data.draw(st.sampled_from(sorted(IMAGE_MEDIA_TYPES)))
    file = bytearray(encode_image(image_format))
    for _ in range(data.draw(st.integers(1, 4))):
        offset = data.draw(st.integers(0, min(len(file), 200) - 1))
        file[offset] = data.draw(st.integers(0, 255))
    try:
        open_image(bytes(file), LIMITS)
    except RequestRejected as error:
        assert error.status_code in (413, 415)


def test_mask_is_true_where_any_channel_is_above_zero():
    mask = np.zeros((3, 4), np.uint8)
    mask[1, 2], mask[2, 0] = 255, 1
    same(open_mask(encode_png(mask), 3, 4, LIMITS), mask > 0)
    black = np.zeros((3, 4, 4), np.uint8)
    black[..., 3] = 255  # opaque, as a browser's canvas writes it
    black[mask > 0, :3] = 255
    same(open_mask(encode_image("PNG", black), 3, 4, LIMITS), mask > 0)


def test_label_map_keeps_its_values():
    label_map = np.array([[0, 1], [300, 2]], np.uint16)
    same(open_label_map(encode_png(label_map), 2, 2, LIMITS), label_map)


def test_mask_of_another_size_is_rejected():
    mask_data = encode_png(np.ones((3, 4), np.uint8))
    error = catch_rejection(open_mask, mask_data, 4, 3, LIMITS)
    assert error.status_code == 400
    assert "3 rows and 4 columns, expected 4 and 3" in error.detail
    bomb = make_bomb(9999, 9999)
    assert catch_rejection(open_label_map, bomb, 4, 3, LIMITS).status_code == 413
