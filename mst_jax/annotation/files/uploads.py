"""Decode uploaded images, masks and label maps, after measuring them.

A file of a few bytes can decompress to gigabytes, so the size is read from its header
before anything is decoded.
"""

import contextlib
import io
import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.decode_worker import (
    BINARIZE_PARAMETER,
    DecodeWorkers,
    SmoothedFileError,
)
from mst_jax.annotation.limits import Limits
from mst_jax.data.formats.images import EncodedImage
from mst_jax.extras import needs_extra

with needs_extra("serve"):
    from PIL import Image

IMAGE_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
}
"""Accepted formats by Pillow's names, with their content types."""

_ACCEPTED_FORMATS = "send a JPEG, PNG, BMP, TIFF or WebP file"

_WORKERS = DecodeWorkers()

BinaryFile = io.BufferedReader | io.BytesIO


class ImageHeader(NamedTuple):
    """Facts in the header of an image file.

    Attributes:
        format: Name of the format as in `IMAGE_MEDIA_TYPES`.
        height: Height in pixels as stored, before the EXIF rotation.
        width: Width in pixels as stored, before the EXIF rotation.
    """

    format: str
    height: int
    width: int


def read_image_header(file: BinaryFile, limits: Limits) -> ImageHeader:
    """Measure an image without decoding it.

    Args:
        file: Open file at its beginning; little more than the header is read.
        limits: Maximum side and number of pixels.

    Raises:
        RequestRejected: Not an image of an accepted format (415), or too large (413).
    """
    file_start = file.read(30)
    file.seek(0)
    # Pillow allocates the whole image when it opens a WebP file, so that its header is
    # parsed here.
    if file_start[:4] == b"RIFF" and file_start[8:12] == b"WEBP":
        image_header = _read_webp_header(file_start)
    else:
        image_header = _read_pillow_header(file)
    if image_header.height < 1 or image_header.width < 1:
        raise RequestRejected(
            f"the {image_header.format} file has no pixels; {_ACCEPTED_FORMATS}", 415
        )
    is_too_long = max(image_header.height, image_header.width) > limits.max_side
    if is_too_long or image_header.height * image_header.width > limits.max_pixels:
        raise RequestRejected(
            f"the image has {image_header.height} rows and {image_header.width} "
            f"columns, the maximum is {limits.max_pixels / 1e6:g} megapixels and "
            f"{limits.max_side} a side; make it smaller",
            413,
        )
    return image_header


def open_image(data: bytes, limits: Limits) -> EncodedImage:
    """Normalize an uploaded image to 8-bit RGB, rotated as its EXIF data demand.

    Of several pages the first is read; `EncodedImage.remarks` says so.

    Args:
        data: Bytes of the file.
        limits: Maximum side and number of pixels.

    Raises:
        RequestRejected: As in `read_image_header`; or the file is damaged (415).
    """
    image_header = read_image_header(io.BytesIO(data), limits)
    with _report_damage():
        header, new_data = _WORKERS.decode("normalize", data)
    image = EncodedImage(
        data if header["unchanged"] else new_data,
        header["height"],
        header["width"],
        tuple(header["remarks"]),
    )
    # Sorted, because the EXIF rotation may exchange height and width. Another size
    # means that the header did not describe the pixels.
    if sorted([image.height, image.width]) != sorted(
        [image_header.height, image_header.width]
    ):
        raise RequestRejected(
            f"the {image_header.format} file has contradictory sizes; "
            f"{_ACCEPTED_FORMATS}",
            415,
        )
    return image


def decode_pixels(data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """Decode what `open_image` returned.

    Args:
        data: JPEG or PNG bytes.
    """
    with _report_damage():
        return _WORKERS.decode_array("pixels", data)


def make_thumbnail(data: bytes) -> bytes:
    """Return a small JPEG of an image that `open_image` returned.

    Args:
        data: JPEG or PNG bytes.
    """
    with _report_damage():
        return _WORKERS.decode("thumbnail", data)[1]


def open_mask(
    data: bytes, height: int, width: int, limits: Limits, *, binarize: bool = False
) -> Bool[np.ndarray, "h w"]:
    """Decode an uploaded mask: True where any color channel is above 0.

    Args:
        data: Bytes of the file.
        height: Height of the session's image in pixels.
        width: Width of the session's image in pixels.
        limits: Maximum side and number of pixels.
        binarize: True reads a mask with soft edges: True above half of white.

    Raises:
        RequestRejected: As in `open_image`; the size differs from the image's (400); or
            the mask looks smoothed and `binarize` is False (415).
    """
    return _decode_of_size("mask", data, (height, width), limits, binarize)


def open_label_map(
    data: bytes, height: int, width: int, limits: Limits, *, binarize: bool = False
) -> UInt16[np.ndarray, "h w"]:
    """Decode an uploaded label map: gray values or palette entries are object IDs.

    Args:
        data: Bytes of the file.
        height: Height of the session's image in pixels.
        width: Width of the session's image in pixels.
        limits: Maximum side and number of pixels.
        binarize: True reads a map with soft edges as one object, 1 above half of white.

    Raises:
        RequestRejected: As in `open_mask`.
    """
    return _decode_of_size("label_map", data, (height, width), limits, binarize)


def _read_pillow_header(file: BinaryFile) -> ImageHeader:
    # Only the accepted formats: Pillow's parsers of rare formats are less hardened.
    try:
        with Image.open(file, formats=list(IMAGE_MEDIA_TYPES)) as image:
            return ImageHeader(image.format or "", image.height, image.width)
    except Image.DecompressionBombError:
        raise RequestRejected(
            "the image is far too large; make it smaller", 413
        ) from None
    except Exception:  # Pillow raises errors of any type for a damaged header
        raise RequestRejected(
            f"the file is not a readable image; {_ACCEPTED_FORMATS}", 415
        ) from None


def _read_webp_header(file_start: bytes) -> ImageHeader:
    """Parse the first 30 bytes of a WebP file.

    Source: RFC 9649, sections 2.5 to 2.7.
    """
    # A RIFF header of 12 bytes, the type of the first chunk, its length, its body.
    chunk_type, body = file_start[12:16], file_start[20:]
    if len(body) < 10:
        raise RequestRejected(f"the WebP file is truncated; {_ACCEPTED_FORMATS}", 415)
    if chunk_type == b"VP8X":  # extended: two 24-bit numbers, each less 1
        width, height = (1 + int.from_bytes(body[k : k + 3], "little") for k in (4, 7))
    elif chunk_type == b"VP8L":  # lossless: two 14-bit numbers, each less 1
        (packed_sides,) = struct.unpack_from("<I", body, 1)
        width, height = 1 + (packed_sides & 0x3FFF), 1 + (packed_sides >> 14 & 0x3FFF)
    elif chunk_type == b"VP8 ":  # lossy: 14 bits of two 16-bit numbers
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
    else:
        raise RequestRejected(f"the WebP file is damaged; {_ACCEPTED_FORMATS}", 415)
    return ImageHeader("WEBP", height, width)


@contextlib.contextmanager
def _report_damage() -> Iterator[None]:
    """Turn an error of decoding into one sentence for the user."""
    try:
        yield
    except SmoothedFileError as error:
        raise RequestRejected(
            f"the mask {error}", 415, retry_with=BINARIZE_PARAMETER
        ) from None
    except ValueError as error:
        raise RequestRejected(
            f"the image cannot be read: {error}; {_ACCEPTED_FORMATS}", 415
        ) from None


def _decode_of_size(
    task: Literal["mask", "label_map"],
    data: bytes,
    image_size: tuple[int, int],
    limits: Limits,
    binarize: bool,
) -> np.ndarray:
    """Decode a mask or label map that must have the size of the image."""
    image_header = read_image_header(io.BytesIO(data), limits)
    # Checked twice: the header keeps large files from being decoded, and a damaged file
    # may decode to another size.
    _check_mask_size((image_header.height, image_header.width), image_size)
    with _report_damage():
        mask = _WORKERS.decode_array(task, data, binarize=binarize)
    _check_mask_size(mask.shape, image_size)
    return mask


def _check_mask_size(
    mask_size: tuple[int, ...], expected_size: tuple[int, int]
) -> None:
    if mask_size != expected_size:
        raise RequestRejected(
            f"the mask has {mask_size[0]} rows and {mask_size[1]} columns, expected "
            f"{expected_size[0]} and {expected_size[1]} like the image; resize it "
            "without interpolation"
        )
