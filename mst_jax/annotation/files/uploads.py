"""Pictures and masks that strangers send: measured before they are decoded.

A file of a few bytes can unpack to gigabytes, so the size is read from its header first.
"""

import io
import struct
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, UInt16
from PIL import Image

from mst_jax.annotation.limits import Limits, Refused
from mst_jax.data.formats import images
from mst_jax.data.formats.images import EncodedPicture

FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "BMP": "image/bmp"}
FORMATS |= {"TIFF": "image/tiff", "WEBP": "image/webp"}
"""What is opened, with the content type of each."""

_WANTED = "send a JPEG, PNG, BMP, TIFF or WebP file"

_DECODING = threading.Semaphore(2)
"""At once: the largest picture takes more than 100 MB."""

T = TypeVar("T")


class Header(NamedTuple):
    """What a file says of itself; the size before any turning."""

    format: str
    height: int
    width: int


def read_header(file: io.BufferedIOBase, limits: Limits) -> Header:
    """Measures a picture without decoding it.

    Args:
        file: at its beginning; little more than the header is read.
        limits: what is refused.

    Raises:
        Refused: not a picture of a known format (415), or larger than allowed (413).
    """
    start = file.read(30)
    file.seek(0)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        # Pillow makes room for the whole picture when it opens a WebP.
        header = _read_webp_header(start)
    else:
        header = _read_header(file)
    if header.height < 1 or header.width < 1:
        raise Refused(f"the {header.format} file has no pixels; {_WANTED}", 415)
    too_long = max(header.height, header.width) > limits.side
    if too_long or header.height * header.width > limits.pixels:
        raise Refused(
            f"the picture has {header.height} rows and {header.width} columns, at most "
            f"{limits.pixels / 1e6:g} megapixels and {limits.side} a side are taken; "
            "make it smaller",
            413,
        )
    return header


def open_picture(data: bytes, limits: Limits) -> EncodedPicture:
    """Decodes a picture as it shall be seen: 8-bit RGB, turned as its EXIF says.

    Raises:
        Refused: see `read_header`; or it is damaged (415).
    """
    header = read_header(io.BytesIO(data), limits)
    picture = _decoded(images.as_encoded, data)
    if sorted(picture[1:]) != sorted(header[1:]):
        raise Refused(f"the {header.format} file's size is unclear; {_WANTED}", 415)
    return picture


def open_mask(
    data: bytes, height: int, width: int, limits: Limits
) -> Bool[np.ndarray, "h w"]:
    """Decodes a mask: True where any colour is not 0.

    Raises:
        Refused: see `open_picture`; or another size than the picture's (400).
    """
    _check_size(read_header(io.BytesIO(data), limits), height, width)
    mask = _decoded(images.decode_foreground, data)
    return _checked(mask, height, width)


def open_labels(
    data: bytes, height: int, width: int, limits: Limits
) -> UInt16[np.ndarray, "h w"]:
    """Decodes a label map: grey values or entries of a palette are numbers of objects.

    Raises:
        Refused: see `open_mask`.
    """
    _check_size(read_header(io.BytesIO(data), limits), height, width)
    labels = _decoded(images.decode_labels, data)
    return _checked(labels, height, width)


def _read_header(file: io.BufferedIOBase) -> Header:
    try:
        with Image.open(file, formats=list(FORMATS)) as picture:
            return Header(picture.format, picture.height, picture.width)
    except Image.DecompressionBombError:
        raise Refused("the picture is far too large; make it smaller", 413) from None
    except Exception:  # a damaged header can end in any error
        raise Refused(
            f"this is not a picture that can be read; {_WANTED}", 415
        ) from None


def _read_webp_header(start: bytes) -> Header:
    """Source: RFC 9649, sections 2.5 to 2.7."""
    kind, body = start[12:16], start[20:]
    if len(body) < 10:
        raise Refused(f"the WebP file is cut short; {_WANTED}", 415)
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(body[k : k + 3], "little") for k in (4, 7))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", body, 1)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
    else:
        raise Refused(f"the WebP file is damaged; {_WANTED}", 415)
    return Header("WEBP", height, width)


def _decoded(decode: Callable[[bytes], T], data: bytes) -> T:
    try:
        with _DECODING:
            return decode(data)
    except ValueError as error:
        raise Refused(f"this picture cannot be read: {error}; {_WANTED}", 415) from None


def _check_size(header: Header, height: int, width: int) -> None:
    if header[1:] != (height, width):
        raise Refused(
            f"the mask has {header.height} rows and {header.width} columns, expected "
            f"{height} and {width} like the picture; resize it without smoothing"
        )


def _checked(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    _check_size(Header("", *mask.shape), height, width)
    return mask
