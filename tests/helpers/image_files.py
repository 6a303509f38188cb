"""Write small image files and folders of them for the tests of datasets."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

IMAGE = np.array(
    [
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]],
        [[10, 20, 30], [40, 50, 60], [70, 80, 90], [8, 8, 8]],
        [[1, 2, 3], [4, 5, 6], [7, 8, 9], [7, 7, 7]],
    ],
    np.uint8,
)
LABELS = np.array([[0, 1, 1, 0], [0, 1, 2, 2], [0, 0, 2, 2]], np.uint16)

# A gradient that JPEG keeps well.
SMOOTH_IMAGE = np.repeat(np.arange(0, 240, 5, np.uint8), 144).reshape(48, 48, 3)


def write_image(path: Path, pixels: np.ndarray = IMAGE) -> None:
    """Write gray or RGB pixels in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3:
        pixels = pixels[..., ::-1]
    assert cv2.imwrite(str(path), pixels)


def write_folder(root: Path, *, num_images: int = 3) -> Path:
    """Write `images/` and `masks/` with images p0, p1, ... of 3x4 pixels."""
    for index in range(num_images):
        write_image(root / "images" / f"p{index}.png", IMAGE + np.uint8(index))
        write_image(root / "masks" / f"p{index}.png", LABELS.astype(np.uint8))
    return root


def write_grabcut(root: Path) -> Path:
    """Write `data_GT/` and `boundary_GT/` with two images of 3x4 pixels."""
    mask = np.array([[0, 0, 128, 0], [0, 128, 255, 128], [0, 0, 255, 0]], np.uint8)
    for file_name in ("one.bmp", "two.JPG"):
        write_image(root / "data_GT" / file_name)
        write_image(root / "boundary_GT" / f"{Path(file_name).stem}.bmp", mask)
    return root


def encode_png_chunk(chunk_type: bytes, body: bytes) -> bytes:
    """Return a PNG chunk with its length and checksum."""
    checksum = struct.pack(">I", zlib.crc32(chunk_type + body))
    return struct.pack(">I", len(body)) + chunk_type + body + checksum


def encode_raw_png(
    packed_rows: list[bytes],
    *,
    width: int,
    bit_depth: int = 8,
    color_type: int = 0,
    palette: bytes = b"",
) -> bytes:
    """Return a PNG written byte by byte.

    Args:
        packed_rows: Samples of each row, packed as PNG packs them.
        width: Number of columns.
        bit_depth: Bits of a sample.
        color_type: 0 gray, 2 RGB, 3 palette.
        palette: RGB bytes of the palette entries; empty: no palette.
    """
    header = struct.pack(
        ">IIBBBBB", width, len(packed_rows), bit_depth, color_type, 0, 0, 0
    )
    # Each row begins with its filter, 0: none.
    pixel_data = zlib.compress(b"".join(b"\0" + row for row in packed_rows))
    palette_chunk = encode_png_chunk(b"PLTE", palette) if palette else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + encode_png_chunk(b"IHDR", header)
        + palette_chunk
        + encode_png_chunk(b"IDAT", pixel_data)
        + encode_png_chunk(b"IEND", b"")
    )


def write_palette_png(path: Path, indices: np.ndarray) -> None:
    """Write a PNG with a palette of colors, as VOC and DAVIS publish their masks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    palette = bytes(value for k in range(256) for value in (k, 255 - k, k // 2))
    packed_rows = [row.tobytes() for row in indices.astype(np.uint8)]
    path.write_bytes(
        encode_raw_png(
            packed_rows, width=indices.shape[1], color_type=3, palette=palette
        )
    )


def damage_pixels(png: bytes) -> bytes:
    """Overwrite a part of the compressed pixels of a PNG; the header stays right."""
    middle = len(png) // 2
    return png[:middle] + bytes(16) + png[middle + 16 :]


def draw_soft_mask() -> np.ndarray:
    """Draw a blurred disk, [60 84] uint8, as an anti-aliasing program saves it."""
    disk = np.zeros((60, 84), np.uint8)
    cv2.circle(disk, (42, 30), 18, 255, -1)
    return cv2.GaussianBlur(disk, (0, 0), 1.5)
