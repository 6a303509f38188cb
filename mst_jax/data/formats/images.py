"""Read image files as users have them, and encode pixels as PNG or JPEG."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Integer, UInt8, UInt16

from mst_jax.data.decoding.image_containers import (
    JPEG_SIGNATURE,
    check_complete,
    is_plain_rgb,
)
from mst_jax.data.decoding.image_pages import choose_page, count_pages
from mst_jax.data.decoding.image_pixels import (
    ImagePixels,
    decode_pixels,
    read_pixels,
)
from mst_jax.data.decoding.value_range import stretch_present_values

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

# 16-bit values below this bound are of 10, 12 or 14 bits; the percentile
# excludes hot pixels of a camera.
_MAX_PARTIAL_VALUE, _FULL_RANGE_PERCENTILE = 2**14, 99.5
_STRETCH_REMARK = (
    "values of more than 8 bits are stretched: the 0.5th to the 99.5th percentile "
    "becomes 0 to 255"
)


class EncodedImage(NamedTuple):
    """JPEG or PNG bytes that decode to 8-bit RGB without rotation, and their size.

    Attributes:
        data: Bytes of the JPEG or PNG file.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        remarks: What was decided about the file, such as that transparency is composed
            on white; for the user to see.
    """

    data: bytes
    height: int
    width: int
    remarks: tuple[str, ...] = ()


class _RgbImage(NamedTuple):
    """[h w 3] uint8 RGB pixels and the remarks of `EncodedImage`."""

    pixels: UInt8[np.ndarray, "h w 3"]
    remarks: tuple[str, ...] = ()


def decode_image(data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image file to 8-bit RGB, rotated as its EXIF orientation says.

    Gray becomes three equal channels and CMYK RGB. Transparency is composed on white.
    Values of more than 8 bits are converted as `normalize_image_data` does.

    Args:
        data: Bytes of the file.

    Returns:
        [h w 3] uint8 RGB pixels.

    Raises:
        ValueError: The bytes are not an image, or have several pages.
    """
    # The images of prepared datasets and of the annotation server are all of this kind.
    if is_plain_rgb(data):
        return decode_pixels(data, cv2.IMREAD_COLOR_RGB)
    return _decode_page(data, choose_page(data, None)).pixels


def encode_png(pixels: Integer[np.ndarray, "h w *c"]) -> bytes:
    """Encode pixels as PNG, without loss.

    Args:
        pixels: [h w] uint8 or uint16 gray values, or [h w 3] uint8 RGB.
    """
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    # Measured on 257 label maps, 2026-11, 2 CPU cores (bytes, ms to write, ms to read):
    # level 3: 3611, 1.7, 0.52; level 6: 2220, 2.3, 0.75; level 9: 1660, 6.2, 0.72.
    # A map is written once and read every epoch, so the level that reads fastest is used.
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def encode_jpeg(pixels: UInt8[np.ndarray, "h w 3"], *, quality: int = 95) -> bytes:
    """Encode RGB pixels as JPEG.

    Args:
        pixels: [h w 3] uint8 RGB.
        quality: JPEG quality, 0 to 100.
    """
    bgr_pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    jpeg_parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return cv2.imencode(".jpg", bgr_pixels, jpeg_parameters)[1].tobytes()


def read_image(path: Path, *, page: int | None = None) -> EncodedImage:
    """Read an image file; 8-bit RGB JPEG and PNG files keep their bytes.

    Everything else (gray, palette, alpha, 16-bit, CMYK, EXIF rotation, other formats) is
    decoded and encoded again as PNG.

    Args:
        path: Path of the image file.
        page: Page or frame to read, from 1; None accepts only files with a single one.

    Raises:
        ValueError: The file is empty, truncated, damaged, no image, of a kind that is not
            read, or has several pages and none is chosen; the message says which.
    """
    return normalize_image_data(path.read_bytes(), page=page)


def normalize_image_data(data: bytes, *, page: int | None = None) -> EncodedImage:
    """Convert the bytes of an image file to what `read_image` returns.

    Transparency is composed on white. Floats, signed and 32-bit integers, and 16-bit
    values of which 99.5 % are below 16384 (10, 12 or 14 bits in 16), are stretched: the
    0.5th to the 99.5th percentile of the values other than 0 becomes 0 to 255. Other
    16-bit values are divided by 256.

    Args:
        data: Bytes of the file.
        page: Page or frame to read, from 1; None accepts only files with a single one.

    Raises:
        ValueError: As in `read_image`.
    """
    check_complete(data)
    page_index = choose_page(data, page)
    num_pages = count_pages(data)
    rgb_image = _decode_page(data, page_index)
    height, width = rgb_image.pixels.shape[:2]
    if num_pages == 1 and is_plain_rgb(data):
        # An EXIF orientation that rotates the pixels shows in this comparison.
        imread_flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        if np.array_equal(decode_pixels(data, imread_flags), rgb_image.pixels):
            return EncodedImage(data, height, width)
    remarks = rgb_image.remarks
    if num_pages > 1:
        page_remark = f"has {num_pages} pages or frames; page {page_index + 1} is read"
        remarks = (page_remark, *remarks)
    return EncodedImage(encode_png(rgb_image.pixels), height, width, remarks)


def _decode_page(data: bytes, page_index: int) -> _RgbImage:
    """Decode a page of an image file to 8-bit RGB."""
    # JPEG has neither alpha nor more than 8 bits; OpenCV converts CMYK and rotates.
    if data.startswith(JPEG_SIGNATURE) or (page_index == 0 and is_plain_rgb(data)):
        return _RgbImage(decode_pixels(data, cv2.IMREAD_COLOR_RGB))
    return _convert_to_rgb(read_pixels(data, page_index=page_index))


def _convert_to_rgb(image: ImagePixels) -> _RgbImage:
    """Convert values of any type to 8 bits, and compose transparency on white."""
    remarks = list(image.remarks)
    # 1. Eight bits for each value.
    values = image.values
    if values.dtype == np.uint16 and _has_full_range(values):
        values = (values >> 8).astype(np.uint8)
    elif values.dtype != np.uint8:
        present = image.find_present()
        values = stretch_present_values(values, present)
        remarks.append(_STRETCH_REMARK)
        if image.alpha is None and not present.all():
            remarks.append("pixels without data, or not finite, are black")
    rgb_values = np.broadcast_to(values, (*values.shape[:2], 3))
    # 2. White behind transparent pixels, as browsers and printers show them.
    alpha = image.alpha
    if alpha is not None and not alpha.any():
        raise ValueError("every pixel is transparent; save the image without alpha")
    if alpha is not None and alpha.min() < 1:
        rgb_values = _compose_on_white(rgb_values, alpha, image.is_premultiplied)
        remarks.append("transparency is composed on white")
    return _RgbImage(np.ascontiguousarray(rgb_values), tuple(remarks))


def _compose_on_white(
    values: UInt8[np.ndarray, "h w 3"],
    alpha: Float32[np.ndarray, "h w"],
    is_premultiplied: bool,
) -> UInt8[np.ndarray, "h w 3"]:
    """Put white behind the pixels of an image."""
    composed = np.empty_like(values)
    # Row by row: the floats of a large image would take a gigabyte.
    for row_values, row_alpha, row_composed in zip(
        values, alpha[..., None], composed, strict=True
    ):
        opacity = np.float32(1) if is_premultiplied else row_alpha
        row_floats = row_values * opacity + 255 * (1 - row_alpha)
        row_composed[:] = np.rint(np.clip(row_floats, 0, 255))
    return composed


def _has_full_range(values: UInt16[np.ndarray, "h w c"]) -> bool:
    """Return whether 16-bit values use more than 14 bits."""
    return bool(np.percentile(values, _FULL_RANGE_PERCENTILE) >= _MAX_PARTIAL_VALUE)
