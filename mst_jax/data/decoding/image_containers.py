"""Parse PNG chunks and JPEG markers without decoding any pixel.

OpenCV reads a truncated file without complaint (it fills the rest with gray), so that the
container is checked here: a JPEG must have its end marker, a PNG all its checksums.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8"

# Color types in the header of a PNG.
PNG_GRAY, PNG_RGB, PNG_PALETTE = 0, 2, 3


class PngChunk(NamedTuple):
    """A chunk of a PNG file.

    Attributes:
        chunk_type: Four letters, such as b"IHDR".
        body: Bytes between the type and the checksum.
    """

    chunk_type: bytes
    body: bytes


class PngHeader(NamedTuple):
    """What a PNG header says of the pixels.

    Attributes:
        bit_depth: Bits of a sample or of a palette index: 1, 2, 4, 8 or 16.
        color_type: `PNG_GRAY`, `PNG_RGB`, `PNG_PALETTE` or one with alpha.
    """

    bit_depth: int
    color_type: int


def check_complete(data: bytes) -> None:
    """Check that an image file is not empty, cut short or visibly damaged.

    Args:
        data: Bytes of the file; other formats than PNG and JPEG pass unchecked.

    Raises:
        ValueError: The file is empty, truncated or damaged.
    """
    if not data:
        raise ValueError("file is empty")
    if data.startswith(PNG_SIGNATURE):
        list(read_png_chunks(data))
    if data.startswith(JPEG_SIGNATURE):
        count_jpeg_channels(data)


def read_png_chunks(data: bytes) -> Iterator[PngChunk]:
    """Yield the chunks of a PNG file up to its end chunk.

    Args:
        data: Bytes of the file, beginning with `PNG_SIGNATURE`.

    Yields:
        The chunks in their order; the first is the header.

    Raises:
        ValueError: A chunk is truncated, or its checksum is wrong.
    """
    byte_offset, chunk_type = len(PNG_SIGNATURE), b""
    while chunk_type != b"IEND":
        # A chunk is: length (4 bytes), type (4), body (length), CRC of type and body (4).
        if len(data) < byte_offset + 12:
            raise ValueError("PNG is truncated")
        (body_length,) = struct.unpack_from(">I", data, byte_offset)
        chunk_type = data[byte_offset + 4 : byte_offset + 8]
        body = data[byte_offset + 8 : byte_offset + 8 + body_length]
        stored_checksum = data[
            byte_offset + 8 + body_length : byte_offset + 12 + body_length
        ]
        if len(stored_checksum) < 4:
            raise ValueError("PNG is truncated")
        if struct.unpack(">I", stored_checksum)[0] != zlib.crc32(chunk_type + body):
            raise ValueError("PNG is damaged (wrong checksum)")
        yield PngChunk(chunk_type, body)
        byte_offset += 12 + body_length


def read_png_header(data: bytes) -> PngHeader:
    """Read bit depth and color type from the header of a PNG file.

    Args:
        data: Bytes of the file, beginning with `PNG_SIGNATURE`.

    Raises:
        ValueError: The header is truncated or damaged.
    """
    body = next(read_png_chunks(data)).body
    if len(body) < 10:
        raise ValueError("PNG is damaged (short header)")
    return PngHeader(bit_depth=body[8], color_type=body[9])


def palette_png_to_gray(data: bytes) -> bytes:
    """Rewrite a palette PNG so that it decodes to palette indices instead of colors.

    Args:
        data: Bytes of a PNG of color type `PNG_PALETTE`.

    Returns:
        Bytes of a gray PNG with the same compressed pixel data.
    """
    header_chunk, *other_chunks = read_png_chunks(data)
    # Only the color type changes: the samples of a palette PNG are the indices already.
    body = header_chunk.body[:9] + bytes([PNG_GRAY]) + header_chunk.body[10:]
    gray_chunks = [PngChunk(b"IHDR", body)]
    # The palette and its transparency have no meaning in a gray PNG.
    gray_chunks += [
        png_chunk
        for png_chunk in other_chunks
        if png_chunk.chunk_type in (b"IDAT", b"IEND")
    ]
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(png_chunk.body))
        + png_chunk.chunk_type
        + png_chunk.body
        + struct.pack(">I", zlib.crc32(png_chunk.chunk_type + png_chunk.body))
        for png_chunk in gray_chunks
    )


def is_plain_rgb(data: bytes) -> bool:
    """Return whether a file is an 8-bit RGB PNG without alpha, or a 3-channel JPEG."""
    if data.startswith(PNG_SIGNATURE):
        has_alpha = any(
            png_chunk.chunk_type == b"tRNS" for png_chunk in read_png_chunks(data)
        )
        return read_png_header(data) == (8, PNG_RGB) and not has_alpha
    return data.startswith(JPEG_SIGNATURE) and count_jpeg_channels(data) == 3


def count_jpeg_channels(data: bytes) -> int:
    """Return the number of channels of a JPEG file.

    Args:
        data: Bytes of the file, beginning with `JPEG_SIGNATURE`.

    Raises:
        ValueError: A marker is damaged, or the end marker is missing.
    """
    byte_offset, num_channels = 2, 0
    while byte_offset + 4 <= len(data):
        if data[byte_offset] != 0xFF:
            raise ValueError("JPEG is damaged")
        jpeg_marker = data[byte_offset + 1]
        # Any number of fill bytes may stand before a marker.
        if jpeg_marker == 0xFF:
            byte_offset += 1
            continue
        (body_length,) = struct.unpack_from(">H", data, byte_offset + 2)
        # A frame header; C4, C8 and CC are tables and extensions in the same range.
        if 0xC0 <= jpeg_marker <= 0xCF and jpeg_marker not in (0xC4, 0xC8, 0xCC):
            num_channels = data[byte_offset + 9] if len(data) > byte_offset + 9 else 0
        byte_offset += 2 + body_length
        # The scan begins: after its data only the end marker may follow.
        if jpeg_marker == 0xDA:
            break
    if data.rfind(b"\xff\xd9", byte_offset) < 0:
        raise ValueError("JPEG is truncated")
    return num_channels
