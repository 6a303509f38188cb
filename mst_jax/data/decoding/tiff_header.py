"""Read from a TIFF file how its pages store their pixels, without decoding any."""

from __future__ import annotations

import io
import math
import warnings
from typing import NamedTuple

from PIL.TiffImagePlugin import ImageFileDirectory_v2

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Values of PhotometricInterpretation.
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
# Values of ExtraSamples.
ASSOCIATED_ALPHA, STRAIGHT_ALPHA = 1, 2

_WIDTH, _HEIGHT, _STRIPS, _TILES = 256, 257, 273, 324
_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _NUM_SAMPLES = 254, 258, 262, 277
_PLANAR, _EXTRA_SAMPLES, _NO_DATA = 284, 338, 42113
# Bits of NewSubfileType: a smaller copy of another page, a transparency mask.
_NOT_A_PAGE = 0b101
_MAX_DIRECTORIES = 100_000


class TiffPage(NamedTuple):
    """How a page of a TIFF file stores its pixels.

    Attributes:
        directory_index: Index of the page among all images of the file, from 0.
        num_samples: Number of values of a pixel, with alpha.
        num_bits: Bits of a value.
        photometric: Meaning of the values, such as `RGB`.
        is_planar: True if each channel is stored as a plane of its own.
        extra_samples: Meaning of the values after gray or the colors, such as
            `STRAIGHT_ALPHA`; 0 is not specified.
        no_data: Value of pixels without data (GDAL), None without one.
    """

    directory_index: int
    num_samples: int
    num_bits: int
    photometric: int
    is_planar: bool
    extra_samples: tuple[int, ...]
    no_data: float | None


def is_tiff(data: bytes) -> bool:
    """Return whether a file begins as a TIFF or BigTIFF file does."""
    return data.startswith(TIFF_SIGNATURES)


def read_tiff_pages(data: bytes) -> list[TiffPage]:
    """List the pages of a TIFF file without thumbnails and transparency masks.

    Args:
        data: Bytes of the file.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        directories = _read_directories(data)
        pages = [
            _describe_page(index, directory)
            for index, directory in enumerate(directories)
            if not _first(directory, _SUBFILE_TYPE, 0) & _NOT_A_PAGE
        ]
    except Exception as error:  # Pillow raises errors of any type for damage
        raise ValueError(f"TIFF is damaged ({error})") from error
    if not pages:
        raise ValueError("TIFF has no image")
    return pages


def _read_directories(data: bytes) -> list[ImageFileDirectory_v2]:
    """Read the chain of directories, one for each image of the file."""
    # BigTIFF (version 43) has a header of 16 bytes.
    header_length = 16 if 43 in data[2:4] else 8
    tiff_file = io.BytesIO(data)
    directory = ImageFileDirectory_v2(data[:header_length])
    directories, seen_offsets = [], set()
    # A damaged file may have a chain that returns to its start.
    while (
        directory.next
        and directory.next not in seen_offsets
        and len(directories) < _MAX_DIRECTORIES
    ):
        seen_offsets.add(directory.next)
        tiff_file.seek(directory.next)
        directory = ImageFileDirectory_v2(data[:header_length])
        # Pillow warns of damage; a page without pixels is damaged for certain.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            directory.load(tiff_file)
            has_pixels = _STRIPS in directory or _TILES in directory
            if not has_pixels or _WIDTH not in directory or _HEIGHT not in directory:
                raise ValueError("a page has no size or no pixels")
        directories.append(directory)
    return directories


def _describe_page(index: int, directory: ImageFileDirectory_v2) -> TiffPage:
    extra_samples = directory.get(_EXTRA_SAMPLES, ())
    if isinstance(extra_samples, int):
        extra_samples = (extra_samples,)
    return TiffPage(
        directory_index=index,
        num_samples=_first(directory, _NUM_SAMPLES, 1),
        num_bits=_first(directory, _BITS, 1),
        photometric=_first(directory, _PHOTOMETRIC, BLACK_IS_ZERO),
        is_planar=_first(directory, _PLANAR, 1) == 2,
        extra_samples=tuple(extra_samples),
        no_data=_parse_no_data(directory.get(_NO_DATA)),
    )


def _first(directory: ImageFileDirectory_v2, tag: int, default: int) -> int:
    """Return a tag as a number: some tags have one value for each channel."""
    tag_value = directory.get(tag, default)
    return int(tag_value[0] if isinstance(tag_value, tuple) else tag_value)


def _parse_no_data(tag_value: str | None) -> float | None:
    """Return the number in GDAL's text tag, None without a finite one."""
    try:
        no_data = float(str(tag_value).strip(" \0"))
    except ValueError:
        return None
    # Pixels that are not finite always count as no data.
    return no_data if math.isfinite(no_data) else None
