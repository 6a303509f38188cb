"""Small folders of pictures that the tests of data sets read."""

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


def write_image(path: Path, pixels: np.ndarray = IMAGE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3:
        pixels = pixels[..., ::-1]
    assert cv2.imwrite(str(path), pixels)


def write_folder(root: Path, *, num_pictures: int = 3) -> Path:
    """`images/` and `masks/` with pictures p0, p1, ... of 3x4 pixels."""
    for number in range(num_pictures):
        write_image(root / "images" / f"p{number}.png", IMAGE + np.uint8(number))
        write_image(root / "masks" / f"p{number}.png", LABELS.astype(np.uint8))
    return root


def write_grabcut(root: Path) -> Path:
    """`data_GT/` and `boundary_GT/` with two pictures of 3x4 pixels."""
    mask = np.array([[0, 0, 128, 0], [0, 128, 255, 128], [0, 0, 255, 0]], np.uint8)
    for name in ("one.bmp", "two.JPG"):
        write_image(root / "data_GT" / name)
        write_image(root / "boundary_GT" / f"{Path(name).stem}.bmp", mask)
    return root


def png_chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def write_palette(path: Path, entries: np.ndarray) -> None:
    """A PNG with a palette of colours, as VOC and DAVIS publish their masks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = entries.shape
    rows = b"".join(b"\0" + row.tobytes() for row in entries.astype(np.uint8))
    colours = bytes(value for k in range(256) for value in (k, 255 - k, k // 2))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"PLTE", colours)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )
