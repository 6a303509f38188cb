"""Decode mask files to the values that are stored, before they count as labels."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image

from mst_jax.data.decoding import tiff_header
from mst_jax.data.decoding.image_containers import (
    PNG_PALETTE,
    PNG_SIGNATURE,
    check_complete,
    palette_png_to_gray,
    read_png_chunks,
    read_png_header,
)
from mst_jax.data.decoding.image_pages import choose_page
from mst_jax.data.decoding.image_pixels import (
    decode_pixels,
    open_with_pillow,
    read_pixels,
    read_tiff_page,
)

_BMP_SIGNATURE = b"BM"


class MaskValues(NamedTuple):
    """Values of a mask file.

    Attributes:
        values: [h w 1] gray values or palette indices, or [h w 3] RGB.
        white_value: The value that is drawn as white.
        is_palette: True for palette indices.
    """

    values: Num[np.ndarray, "h w c"]
    white_value: float
    is_palette: bool = False


def read_mask_values(
    data: bytes, *, page: int | None = None, palette_as_colors: bool = False
) -> MaskValues:
    """Decode gray or color values, or the indices of a palette image.

    Transparency is composed on black, the background of masks. The orientation of EXIF is
    ignored: a mask is stored as it is drawn.

    Args:
        data: Bytes of the file.
        page: Page to read, from 1; None accepts only files with a single one.
        palette_as_colors: True returns the colors of a palette image.

    Raises:
        ValueError: The file is empty, truncated, damaged, no image, or of a kind that is
            not read; or it has several pages and none is chosen.
    """
    check_complete(data)
    page_index = choose_page(data, page)
    if not palette_as_colors:
        palette_values = _read_palette_indices(data, page_index)
        if palette_values is not None:
            return palette_values
    if tiff_header.is_tiff(data) or page_index:
        return _read_page(data, page_index)
    imread_flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    values = decode_pixels(data, imread_flags)
    values = values if values.ndim == 3 else values[..., None]
    if values.shape[2] == 4:
        values = _compose_on_black(values[..., 2::-1], values[..., 3:])
    # OpenCV spreads 1, 2 and 4 bits over 0..255.
    if data.startswith(PNG_SIGNATURE):
        max_value = 2 ** read_png_header(data).bit_depth - 1
        if max_value < 255 and values.shape[2] == 1:
            return MaskValues(values // (255 // max_value), max_value)
    return MaskValues(values, _white_value(values))


def _read_page(data: bytes, page_index: int) -> MaskValues:
    """Read a page of a TIFF, or a later frame of an animation."""
    if tiff_header.is_tiff(data):
        page = read_tiff_page(data, page_index)
        if page.photometric == tiff_header.WHITE_IS_ZERO:
            raise ValueError(
                "mask is stored with 0 as white, so that it is not clear which value is "
                "the background; save it with 0 as black"
            )
    pixels = read_pixels(data, page_index=page_index)
    if not np.isfinite(pixels.values).all():
        raise ValueError("mask holds values that are not finite")
    values = pixels.values
    if pixels.alpha is not None and not pixels.is_premultiplied:
        values = np.rint(values * pixels.alpha[..., None]).astype(values.dtype)
    return MaskValues(values, _white_value(values))


def _read_palette_indices(data: bytes, page_index: int) -> MaskValues | None:
    """Read the indices of a palette image, None if the file has no palette."""
    if data.startswith(PNG_SIGNATURE):
        png_header = read_png_header(data)
        if png_header.color_type != PNG_PALETTE or page_index:
            return None
        indices = decode_pixels(palette_png_to_gray(data), cv2.IMREAD_UNCHANGED)
        # OpenCV spreads 1, 2 and 4 bits over 0..255.
        indices //= 255 // (2**png_header.bit_depth - 1)
        return _choose_palette_values(indices, _read_png_palette(data))
    if data.startswith(_BMP_SIGNATURE):
        image = open_with_pillow(data, "BMP")
    elif tiff_header.is_tiff(data):
        page = read_tiff_page(data, page_index)
        if page.photometric != tiff_header.PALETTE:
            return None
        image = open_with_pillow(data, "TIFF", page.directory_index)
    else:
        return None
    if image.mode != "P":
        return None
    return _choose_palette_values(np.array(image), _read_pillow_palette(image))


def _choose_palette_values(
    indices: UInt8[np.ndarray, "h w"], palette: UInt8[np.ndarray, "n 3"]
) -> MaskValues:
    """Return the indices, or the grays of a palette that only reorders gray values.

    Programs that shrink files sort the palette of a gray image by frequency. Then index 0
    may be white, and the indices mean nothing.
    """
    used_indices = np.unique(indices)
    # Some programs write a palette that is too short.
    if used_indices[-1] >= len(palette):
        return MaskValues(indices[..., None], 255, is_palette=True)
    used_colors = palette[used_indices].astype(np.int64)
    is_gray = (used_colors == used_colors[:, :1]).all()
    gray_steps = np.diff(used_colors[:, 0])
    is_distinct = len(np.unique(used_colors[:, 0])) == len(used_colors)
    if is_gray and is_distinct and (gray_steps < 0).any():
        return MaskValues(palette[indices][..., :1], 255)
    return MaskValues(indices[..., None], 255, is_palette=True)


def _read_png_palette(data: bytes) -> UInt8[np.ndarray, "n 3"]:
    for png_chunk in read_png_chunks(data):
        if png_chunk.chunk_type == b"PLTE" and len(png_chunk.body) % 3 == 0:
            return np.frombuffer(png_chunk.body, np.uint8).reshape(-1, 3)
    raise ValueError("PNG is damaged (no palette)")


def _read_pillow_palette(image: Image.Image) -> UInt8[np.ndarray, "n 3"]:
    return np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)


def _compose_on_black(
    values: Num[np.ndarray, "h w 3"], alpha: Num[np.ndarray, "h w 1"]
) -> Num[np.ndarray, "h w 3"]:
    """Multiply colors by alpha, rounded."""
    max_alpha = np.iinfo(alpha.dtype).max
    if (alpha == max_alpha).all():
        return values
    return np.rint(values * (alpha / max_alpha)).astype(values.dtype)


def _white_value(values: Num[np.ndarray, "h w c"]) -> float:
    """Return the largest value of an integer type, 1 or 255 for floats."""
    if values.dtype.kind == "f":
        return 1.0 if values.max() <= 1 else 255.0
    return 255.0 if values.max() <= 255 else float(np.iinfo(values.dtype).max)
