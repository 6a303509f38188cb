"""Decode image files to pixel values and alpha, before any conversion to 8-bit RGB."""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Num, Shaped
from PIL import Image

from mst_jax.data.decoding import tiff_header
from mst_jax.data.decoding.image_containers import (
    PNG_GRAY,
    PNG_SIGNATURE,
    read_png_chunks,
    read_png_header,
)
from mst_jax.data.decoding.image_pages import is_webp
from mst_jax.data.decoding.tiff_header import TiffPage

_ORIENTATION_TAG = 0x0112
_GRAY_PHOTOMETRIC = (tiff_header.WHITE_IS_ZERO, tiff_header.BLACK_IS_ZERO)
# Photometric interpretations that OpenCV converts, if the values have 8 bits.
_READABLE_PHOTOMETRIC = (
    *_GRAY_PHOTOMETRIC,
    tiff_header.RGB,
    tiff_header.PALETTE,
    tiff_header.CMYK,
    tiff_header.YCBCR,
)


class ImagePixels(NamedTuple):
    """Decoded pixels of one page of an image file.

    Attributes:
        values: [h w 1] gray or [h w 3] RGB values of any integer or float type.
        alpha: [h w] opacity from 0 to 1, None where the file has none.
        is_premultiplied: True if the values are already multiplied by alpha.
        no_data: Value of pixels without data, None without one.
        remarks: What had to be guessed about the values.
    """

    values: Num[np.ndarray, "h w c"]
    alpha: Float32[np.ndarray, "h w"] | None = None
    is_premultiplied: bool = False
    no_data: float | None = None
    remarks: tuple[str, ...] = ()

    def find_present(self) -> Bool[np.ndarray, "h w"]:
        """Return [h w] True where a pixel is finite, has data and is not transparent."""
        present = np.asarray(np.isfinite(self.values).all(-1))
        if self.no_data is not None:
            present &= ~np.isclose(self.values, self.no_data).any(-1)
        if self.alpha is not None:
            present &= self.alpha > 0
        return present


def read_pixels(data: bytes, *, page_index: int = 0) -> ImagePixels:
    """Decode an image file without changing its values.

    Args:
        data: Bytes of a complete file.
        page_index: Index of the page or frame, from 0.

    Returns:
        The pixels, rotated as the EXIF orientation says.

    Raises:
        ValueError: The file is damaged, not an image, or of a kind that is not read.
    """
    if tiff_header.is_tiff(data):
        return _read_tiff(data, page_index)
    if page_index:
        return _read_frame(data, page_index)
    pixels = decode_pixels(data, cv2.IMREAD_UNCHANGED)
    alpha = None
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        alpha = _to_opacity(pixels[..., 3])
        pixels = pixels[..., :3]
    elif data.startswith(PNG_SIGNATURE):
        alpha = _read_gray_color_key(data, pixels)
    values = _bgr_to_rgb(pixels)
    # OpenCV rotates only what it converts to 8 bits itself.
    orientation = _read_orientation(data)
    if alpha is not None:
        alpha = _orient(alpha, orientation)
    return ImagePixels(_orient(values, orientation), alpha)


def decode_pixels(data: bytes, imread_flags: int) -> np.ndarray:
    """Decode an image file with OpenCV.

    Args:
        data: Bytes of the file.
        imread_flags: OpenCV's `cv2.IMREAD_*` flags.

    Returns:
        [h w] or [h w c] pixels, as the flags say.

    Raises:
        ValueError: OpenCV cannot read the bytes as an image.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), imread_flags)
    except cv2.error:
        # Some damage makes OpenCV raise, other damage makes it return None.
        pixels = None
    if pixels is None:
        raise ValueError("not an image that can be read (or damaged)")
    return pixels


def read_tiff_page(data: bytes, page_index: int) -> TiffPage:
    """Return how a page of a TIFF is stored; ValueError if there is no such page."""
    pages = tiff_header.read_tiff_pages(data)
    if page_index >= len(pages):
        raise ValueError(f"TIFF has {len(pages)} pages, no page {page_index + 1}")
    return pages[page_index]


def decode_tiff_page(data: bytes, page: TiffPage) -> np.ndarray:
    """Decode a page of a TIFF with OpenCV; ValueError if it is damaged."""
    if page.directory_index == 0:
        try:
            return decode_pixels(data, cv2.IMREAD_UNCHANGED)
        except ValueError:
            # OpenCV 4 does not read unsigned integers of 32 bits.
            if page.num_bits != 32 or page.num_samples != 1:
                raise
            return np.asarray(open_with_pillow(data, "TIFF"))
    page_range = (page.directory_index, page.directory_index + 1)
    try:
        is_read, pages = cv2.imdecodemulti(
            np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED, range=page_range
        )
    except cv2.error:
        is_read, pages = False, ()
    if not is_read or not pages:
        raise ValueError(f"page {page.directory_index + 1} of the TIFF cannot be read")
    return pages[0]


def open_with_pillow(data: bytes, format_name: str, page_index: int = 0) -> Image.Image:
    """Open a page of an image file with Pillow and load its pixels.

    Args:
        data: Bytes of the file.
        format_name: Pillow's name of the only format that is tried.
        page_index: Index of the page or frame, from 0.

    Raises:
        ValueError: The file is damaged, or has no such page.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=[format_name])
        image.seek(page_index)
        image.load()
    except Exception as error:  # Pillow raises errors of any type for damage
        raise ValueError(f"{format_name} file cannot be read ({error})") from error
    return image


def _read_tiff(data: bytes, page_index: int) -> ImagePixels:
    """Decode a page of a TIFF as its header says."""
    page = read_tiff_page(data, page_index)
    _check_tiff_page(page)
    num_colors = page.num_samples - len(page.extra_samples)
    alpha_type = page.extra_samples[0] if page.extra_samples else 0
    has_alpha = alpha_type in (tiff_header.ASSOCIATED_ALPHA, tiff_header.STRAIGHT_ALPHA)
    # 1. OpenCV drops the alpha of gray images; Pillow has it as La or LA.
    if page.num_samples == 2 and has_alpha:
        pillow_image = open_with_pillow(data, "TIFF", page.directory_index)
        gray_alpha = np.asarray(pillow_image)
        if gray_alpha.ndim != 3:
            raise ValueError("TIFF with two channels, expected gray and alpha")
        alpha = _to_opacity(gray_alpha[..., 1])
        return ImagePixels(gray_alpha[..., :1], alpha, pillow_image.mode == "La")
    # 2. All others are gray, RGB, or RGB with a fourth channel.
    pixels = decode_tiff_page(data, page)
    alpha = None
    if has_alpha and pixels.ndim == 3 and pixels.shape[2] == 4:
        alpha = _to_opacity(pixels[..., 3])
    values = _bgr_to_rgb(pixels[..., :3] if pixels.ndim == 3 else pixels)
    if page.photometric == tiff_header.WHITE_IS_ZERO and page.num_bits > 8:
        values = values.max() - values
    remarks = ()
    if page.extra_samples and not has_alpha:
        remarks = (
            f"only the first {num_colors} of {page.num_samples} channels are read; the "
            "others are not marked as transparency",
        )
    # Of 8-bit images OpenCV returns colors that are multiplied by alpha.
    is_premultiplied = alpha_type == tiff_header.ASSOCIATED_ALPHA or page.num_bits <= 8
    return ImagePixels(values, alpha, is_premultiplied, page.no_data, remarks)


def _check_tiff_page(page: TiffPage) -> None:
    """Raise a ValueError for kinds of TIFF that OpenCV reads wrongly or not at all."""
    if page.photometric not in _READABLE_PHOTOMETRIC or (
        page.photometric == tiff_header.CMYK and page.num_bits > 8
    ):
        raise ValueError(
            "TIFF with colors of a kind that is not read (such as CIELab, CFA or 16-bit "
            "CMYK); save it as RGB"
        )
    if page.num_samples > 2 and page.photometric in _GRAY_PHOTOMETRIC:
        raise ValueError(
            f"TIFF with {page.num_samples} channels that are not marked as colors; save "
            "three of them as RGB"
        )
    if page.num_samples > 4 and page.photometric != tiff_header.CMYK:
        raise ValueError(
            f"TIFF with {page.num_samples} channels, expected at most 4; save three of "
            "them as RGB"
        )
    if page.num_samples == 2 and page.num_bits != 8:
        raise ValueError(
            f"TIFF with two channels of {page.num_bits} bits; save it without alpha"
        )
    if page.is_planar and page.num_samples > 1 and page.num_bits > 8:
        raise ValueError(
            f"TIFF with a plane of {page.num_bits} bits for each channel; save it with "
            "interleaved channels"
        )


def _read_frame(data: bytes, frame_index: int) -> ImagePixels:
    """Decode a later frame of an animated PNG, WebP or GIF."""
    is_png = data.startswith(PNG_SIGNATURE)
    format_name = "PNG" if is_png else "WEBP" if is_webp(data) else "GIF"
    rgba = np.asarray(open_with_pillow(data, format_name, frame_index).convert("RGBA"))
    return ImagePixels(rgba[..., :3], _to_opacity(rgba[..., 3]))


def _read_gray_color_key(
    data: bytes, pixels: Num[np.ndarray, "h w *c"]
) -> Float32[np.ndarray, "h w"] | None:
    """Return the opacity of a gray PNG in which one gray value is transparent."""
    png_header = read_png_header(data)
    keys = [
        chunk.body for chunk in read_png_chunks(data) if chunk.chunk_type == b"tRNS"
    ]
    # OpenCV decodes the transparency of all other kinds of PNG.
    if png_header.color_type != PNG_GRAY or not keys or pixels.ndim != 2:
        return None
    if len(keys[0]) < 2:
        raise ValueError("PNG is damaged (short transparency)")
    (key_value,) = struct.unpack_from(">H", keys[0])
    # OpenCV spreads 1, 2 and 4 bits over 0..255.
    if png_header.bit_depth < 8:
        key_value *= 255 // (2**png_header.bit_depth - 1)
    return (pixels != key_value).astype(np.float32)


def _read_orientation(data: bytes) -> int:
    """Return the EXIF orientation, 1 to 8, of a PNG or WebP file; others have 1."""
    is_png = data.startswith(PNG_SIGNATURE)
    markers = (b"eXIf", b"EXIF", b"Raw profile type")
    if not (is_png or is_webp(data)) or not any(marker in data for marker in markers):
        return 1
    try:
        with Image.open(
            io.BytesIO(data), formats=["PNG" if is_png else "WEBP"]
        ) as image:
            return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF data, which decoders ignore
        return 1


def _orient(
    pixels: Shaped[np.ndarray, "h w *c"], orientation: int
) -> Shaped[np.ndarray, "_ _ *c"]:
    """Rotate and mirror pixels as an EXIF orientation says."""
    # 5 to 8 exchange rows and columns.
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _to_opacity(alpha: Num[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Scale an alpha channel of any type to 0 to 1."""
    if alpha.dtype.kind == "f":
        return np.nan_to_num(np.clip(alpha, 0.0, 1.0)).astype(np.float32)
    return (alpha / np.float32(np.iinfo(alpha.dtype).max)).astype(np.float32)


def _bgr_to_rgb(pixels: Num[np.ndarray, "h w *c"]) -> Num[np.ndarray, "h w c"]:
    """Return gray pixels with one channel, or color pixels in RGB order."""
    if pixels.ndim == 2:
        return pixels[..., None]
    return pixels[..., ::-1] if pixels.shape[2] == 3 else pixels
