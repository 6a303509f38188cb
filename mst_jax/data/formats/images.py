"""Picture files as users have them -> encoded 8-bit RGB pictures and label maps.

OpenCV reads a truncated file without complaint (it fills the rest with grey), so that the
container is checked here: a JPEG must have its end marker, a PNG all its checksums.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Integer, UInt8, UInt16

from mst_jax.data.example import IGNORED

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8"
_GREY, _RGB, _PALETTE = 0, 2, 3  # colour types of a PNG


class EncodedPicture(NamedTuple):
    """JPEG or PNG bytes that decode to 8-bit RGB without rotation, and their size."""

    data: bytes
    height: int
    width: int


def decode_picture(data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes a picture to 8-bit RGB, turned as its EXIF says.

    Grey becomes three equal channels, alpha is dropped, 16 bits become 8, CMYK RGB.

    Raises:
        ValueError: not a picture that OpenCV can read.
    """
    return _decode(data, cv2.IMREAD_COLOR_RGB)


def encode_png(pixels: Integer[np.ndarray, "h w *c"]) -> bytes:
    """Encodes uint8 or uint16 grey, or uint8 RGB, without loss."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    # Measured on 257 label maps, 2026-11, 2 CPU cores (bytes, ms to write, ms to read):
    # level 3: 3611, 1.7, 0.52; level 6: 2220, 2.3, 0.75; level 9: 1660, 6.2, 0.72.
    # A map is written once and read every epoch, so the quick one to read is taken.
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def encode_jpeg(pixels: UInt8[np.ndarray, "h w 3"], *, quality: int = 95) -> bytes:
    """Encodes RGB as JPEG, quality 0 to 100."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def read_picture(path: Path) -> EncodedPicture:
    """Reads a picture file; plain 8-bit RGB JPEG and PNG keep their bytes.

    Everything else (grey, palette, alpha, 16-bit, CMYK, EXIF rotation, other formats) is
    decoded and encoded again as PNG.

    Raises:
        ValueError: empty, truncated, damaged or not a picture; says which.
    """
    return as_encoded(path.read_bytes())


def as_encoded(data: bytes) -> EncodedPicture:
    """Makes what `read_picture` reads from the bytes of a file."""
    _check_whole(data)
    pixels = decode_picture(data)
    height, width = pixels.shape[:2]
    if _is_plain_jpeg(data) or _is_plain_png(data):
        unturned = _decode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        if np.array_equal(unturned, pixels):
            return EncodedPicture(data, height, width)
    return EncodedPicture(encode_png(pixels), height, width)


def read_labels(path: Path) -> UInt16[np.ndarray, "h w"]:
    """Reads a label map: 1 to 16 bits grey, palette (the entry numbers), or grey as RGB.

    Raises:
        ValueError: empty, truncated, damaged, not a picture, or in colour.
    """
    return decode_labels(path.read_bytes())


def decode_labels(data: bytes) -> UInt16[np.ndarray, "h w"]:
    """Decodes a label map from the bytes of its file; see `read_labels`."""
    values = _decode_values(data)
    if (values != values[..., :1]).any():
        raise ValueError(
            "label map in colour; save it as 8-bit or 16-bit grey or with a palette"
        )
    return values[..., 0].astype(np.uint16)


def read_foreground(path: Path, *, above: int = 0) -> Bool[np.ndarray, "h w"]:
    """Reads a mask of one object: True where any channel is above a value.

    Args:
        path: grey, palette (the entry numbers count) or colour; alpha is left out.
        above: 0 to 255; with 1, 2 or 4 bits or a palette, other than 0 makes no sense.

    Raises:
        ValueError: empty, truncated, damaged or not a picture.
    """
    return decode_foreground(path.read_bytes(), above=above)


def decode_foreground(data: bytes, *, above: int = 0) -> Bool[np.ndarray, "h w"]:
    """Decodes a mask from the bytes of its file; see `read_foreground`."""
    return (_decode_values(data) > above).any(-1)


def as_labels(values: np.ndarray) -> UInt16[np.ndarray, "h w"]:
    """Turns whole numbers [h w] of any kind into labels; ValueError if they are none."""
    whole = np.asarray(values)
    if whole.ndim != 2 or not whole.size or whole.dtype.kind not in "buif":
        raise ValueError(
            f"label map of shape {whole.shape} of {whole.dtype}, expected rows and "
            "columns of whole numbers"
        )
    if whole.dtype.kind == "f" and not (whole == np.round(whole)).all():
        raise ValueError("label map with fractions, expected whole numbers")
    if whole.min() < 0 or whole.max() >= IGNORED:
        raise ValueError(
            f"labels {whole.min()} to {whole.max()}, expected 0 to {IGNORED - 1}"
        )
    return whole.astype(np.uint16)


def _decode_values(data: bytes) -> Integer[np.ndarray, "h w c"]:
    """Grey or colour values without alpha, or the entry numbers of a palette."""
    _check_whole(data)
    largest = 255
    if data.startswith(_PNG_START):
        header, *rest = _png_chunks(data)
        depth, colour = header.body[8:10]
        largest = 2**depth - 1
        if colour == _PALETTE:
            data = _palette_to_grey(header, rest)
    values = _decode(data, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if values.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"label map of {values.dtype}; save it as 8-bit or 16-bit grey"
        )
    if largest < 255:  # OpenCV spreads 1, 2 and 4 bits over 0..255
        values = values // (255 // largest)
    return values[..., :3] if values.ndim == 3 else values[..., None]


def _check_whole(data: bytes) -> None:
    """Raises ValueError for a file that is empty or visibly cut short."""
    if not data:
        raise ValueError("file is empty")
    if data.startswith(_PNG_START):
        list(_png_chunks(data))
    if data.startswith(_JPEG_START):
        _jpeg_components(data)


def _decode(data: bytes, how: int) -> np.ndarray:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError("not a picture that can be read (or damaged)")
    return pixels


class _Chunk(NamedTuple):
    kind: bytes
    body: bytes


def _png_chunks(data: bytes) -> Iterator[_Chunk]:
    """Yields the chunks of a PNG up to its end; ValueError if one is cut or damaged."""
    at, kind = len(_PNG_START), b""
    while kind != b"IEND":
        if len(data) < at + 12:
            raise ValueError("PNG is truncated")
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        checksum = data[at + 8 + length : at + 12 + length]
        if len(checksum) < 4:
            raise ValueError("PNG is truncated")
        if struct.unpack(">I", checksum)[0] != zlib.crc32(kind + body):
            raise ValueError("PNG is damaged (wrong checksum)")
        yield _Chunk(kind, body)
        at += 12 + length


def _palette_to_grey(header: _Chunk, rest: list[_Chunk]) -> bytes:
    """Rewrites a palette PNG so that it decodes to entry numbers in place of colours."""
    body = header.body[:9] + bytes([_GREY]) + header.body[10:]
    kept = [_Chunk(b"IHDR", body)]
    kept += [chunk for chunk in rest if chunk.kind in (b"IDAT", b"IEND")]
    return _PNG_START + b"".join(
        struct.pack(">I", len(chunk.body))
        + chunk.kind
        + chunk.body
        + struct.pack(">I", zlib.crc32(chunk.kind + chunk.body))
        for chunk in kept
    )


def _is_plain_png(data: bytes) -> bool:
    if not data.startswith(_PNG_START):
        return False
    header, *rest = _png_chunks(data)
    return header.body[8:10] == bytes([8, _RGB]) and all(
        chunk.kind != b"tRNS" for chunk in rest
    )


def _is_plain_jpeg(data: bytes) -> bool:
    return data.startswith(_JPEG_START) and _jpeg_components(data) == 3


def _jpeg_components(data: bytes) -> int:
    """Number of channels of a JPEG; ValueError if its end is missing."""
    at, components = 2, 0
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise ValueError("JPEG is damaged")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            components = data[at + 9] if len(data) > at + 9 else 0
        at += 2 + length
        if marker == 0xDA:  # the picture's data begin: only the end marker may follow
            break
    if data.rfind(b"\xff\xd9", at) < 0:
        raise ValueError("JPEG is truncated")
    return components
