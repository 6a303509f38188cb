import cv2
import numpy as np
import pytest

from mst_jax.data.decoding.smoothed_masks import SmoothedMaskError, is_smoothed

SIZE = 128
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE]
ELLIPSE = np.uint8(255) * (
    ((ROWS - 60) / 30) ** 2 + ((COLUMNS - 70) / 45) ** 2 < 1
).astype(np.uint8)


def draw_disks(num_disks, max_radius, *, size=SIZE):
    """Return a map of many small disks, some of which touch or cover each other."""
    rng = np.random.default_rng(num_disks)
    labels = np.zeros((size, size), np.uint16)
    for label, (row, column) in enumerate(rng.integers(0, size, (num_disks, 2)), 1):
        radius = int(rng.integers(0, max_radius + 1))
        cv2.circle(labels, (int(column), int(row)), radius, label, -1)
    return labels


def draw_lines(num_lines, thickness):
    rng = np.random.default_rng(num_lines)
    labels = np.zeros((SIZE, SIZE), np.uint8)
    for label in range(1, num_lines + 1):
        start, end = rng.integers(0, SIZE, (2, 2)).tolist()
        cv2.line(labels, start, end, label, thickness)
    return labels


def compress_jpeg(pixels, quality):
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)


def draw_voronoi(num_regions):
    points = np.random.default_rng(0).integers(0, SIZE, (num_regions, 2))
    distances = (ROWS[..., None] - points[:, 0]) ** 2
    distances += (COLUMNS[..., None] - points[:, 1]) ** 2
    return distances.argmin(-1) + 1


LABEL_MAPS = {
    "binary": ELLIPSE,
    "three classes": np.where(ELLIPSE > 0, 2, COLUMNS > 64),
    "unsure border": cv2.dilate(ELLIPSE // 2 + 1, np.ones((5, 5))) // 2 + ELLIPSE // 2,
    "hundreds of small objects": draw_disks(400, 3),
    "single pixels": draw_disks(300, 0),
    "large and small objects": draw_disks(100, 12),
    "thin objects": draw_lines(40, 1),
    "lines": draw_lines(5, 2),
    "superpixels": ROWS // 6 * 22 + COLUMNS // 6 + 1,
    "regions": draw_voronoi(60),
    "many regions": draw_voronoi(600),
    "layers": np.minimum(ROWS // 3, 9),
    "ignored borders": np.where(draw_lines(9, 2) > 0, 65535, draw_disks(100, 12)),
    "resized without interpolation": cv2.resize(
        draw_disks(100, 12), None, fx=1.7, fy=1.7, interpolation=cv2.INTER_NEAREST
    ),
}
SMOOTHED = {
    "anti-aliased": cv2.GaussianBlur(ELLIPSE, (0, 0), 0.6),
    "soft": cv2.GaussianBlur(ELLIPSE, (0, 0), 5),
    "soft in 16 bits": cv2.GaussianBlur(ELLIPSE, (0, 0), 3).astype(np.uint16) * 257,
    "gradient": COLUMNS * 2,
    "enlarged": cv2.resize(ELLIPSE, None, fx=2, fy=2),
    "reduced": cv2.resize(ELLIPSE, None, fx=0.6, fy=0.6),
    "reduced by area": cv2.resize(
        ELLIPSE, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA
    ),
    "interpolated labels": cv2.resize(
        draw_voronoi(20).astype(np.uint8), None, fx=2, fy=2
    ),
    "JPEG of labels": compress_jpeg(draw_disks(30, 12).astype(np.uint8) * 8, 75),
} | {f"JPEG {quality}": compress_jpeg(ELLIPSE, quality) for quality in (50, 75, 90, 95)}


@pytest.mark.parametrize("name", LABEL_MAPS)
def test_label_maps_are_not_smoothed(name):
    assert not is_smoothed(LABEL_MAPS[name])


@pytest.mark.parametrize("name", SMOOTHED)
def test_smoothed_masks_are_detected(name):
    assert is_smoothed(SMOOTHED[name])


def test_the_error_names_the_ways_out():
    message = str(SmoothedMaskError(SMOOTHED["soft"]))
    assert "--binarize" in message and "palette" in message
