"""Count and choose the pages of TIFF files and the frames of animations."""

from __future__ import annotations

import io
import struct

from PIL import Image

from mst_jax.data.decoding.image_containers import PNG_SIGNATURE, read_png_chunks
from mst_jax.data.decoding.tiff_header import is_tiff, read_tiff_pages

GIF_SIGNATURES = (b"GIF87a", b"GIF89a")


def count_pages(data: bytes) -> int:
    """Count the pages of a TIFF, or the frames of an animated PNG, WebP or GIF.

    Args:
        data: Bytes of an image file; other formats have one page.

    Returns:
        Number of pages, at least 1; smaller copies of a TIFF page do not count.

    Raises:
        ValueError: The file is damaged.
    """
    if is_tiff(data):
        return len(read_tiff_pages(data))
    if data.startswith(PNG_SIGNATURE):
        return _count_png_frames(data)
    if is_webp(data):
        return _count_webp_frames(data)
    if data.startswith(GIF_SIGNATURES):
        return _count_gif_frames(data)
    return 1


def is_webp(data: bytes) -> bool:
    """Return whether a file begins as a WebP file does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def choose_page(data: bytes, page: int | None) -> int:
    """Return the index of the page to read.

    Args:
        data: Bytes of an image file.
        page: Number of the page from 1; a file with a single page is read whatever it
            is. None accepts only files with a single page.

    Returns:
        Index of the page, from 0.

    Raises:
        ValueError: The file has several pages and none is chosen, or fewer pages; or it
            is damaged.
    """
    num_pages = count_pages(data)
    if num_pages == 1:
        return 0
    if page is None:
        raise ValueError(
            f"has {num_pages} pages or frames; choose one with --page 1 to "
            f"--page {num_pages}, or save it as one image"
        )
    if not 1 <= page <= num_pages:
        raise ValueError(f"has {num_pages} pages or frames, no page {page}")
    return page - 1


def _count_png_frames(data: bytes) -> int:
    """Return the number of frames that an animated PNG announces, else 1."""
    for png_chunk in read_png_chunks(data):
        if png_chunk.chunk_type == b"acTL" and len(png_chunk.body) >= 4:
            return max(1, struct.unpack_from(">I", png_chunk.body)[0])
        # The announcement comes before the pixels.
        if png_chunk.chunk_type == b"IDAT":
            break
    return 1


def _count_webp_frames(data: bytes) -> int:
    """Count the frame chunks of a WebP file.

    Source: RFC 9649, section 2.7.
    """
    # Chunks follow the header of 12 bytes: type (4), length (4), body of even length.
    byte_offset, num_frames = 12, 0
    while byte_offset + 8 <= len(data):
        num_frames += data[byte_offset : byte_offset + 4] == b"ANMF"
        (body_length,) = struct.unpack_from("<I", data, byte_offset + 4)
        byte_offset += 8 + body_length + body_length % 2
    return max(1, num_frames)


def _count_gif_frames(data: bytes) -> int:
    try:
        with Image.open(io.BytesIO(data), formats=["GIF"]) as image:
            return getattr(image, "n_frames", 1)
    except Exception as error:  # Pillow raises errors of any type for damage
        raise ValueError(f"GIF is damaged ({error})") from error
