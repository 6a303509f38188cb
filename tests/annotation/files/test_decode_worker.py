import io
import time

import numpy as np
import pytest
from PIL import Image

from mst_jax.annotation.files.decode_worker import DecodeLimitExceeded, DecodeWorkers
from mst_jax.data.formats.images import decode_image, encode_jpeg, encode_png

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
same = np.testing.assert_array_equal


@pytest.fixture(scope="module")
def workers():
    return DecodeWorkers()


def repeat_scans(jpeg: bytes, num_repeats: int) -> bytes:
    """Repeat the last scan of a progressive JPEG."""
    start = jpeg.rindex(b"\xff\xda")
    scan = jpeg[start:].removesuffix(b"\xff\xd9")
    return jpeg[:start] + scan * num_repeats + b"\xff\xd9"


def make_progressive(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (9, 99, 200)).save(file, "JPEG", progressive=True)
    return file.getvalue()


def test_results_are_those_of_the_functions(workers):
    png, jpeg = encode_png(IMAGE), encode_jpeg(IMAGE)
    same(workers.decode_array("pixels", png), IMAGE)
    same(workers.decode_array("pixels", jpeg), decode_image(jpeg))
    header, data = workers.decode("normalize", png)
    size = {"height": 40, "width": 60}
    assert header == size | {"unchanged": True, "remarks": []} and data == b""
    header, data = workers.decode("normalize", encode_png(IMAGE[..., 0]))
    assert not header["unchanged"]
    same(decode_image(data), IMAGE[..., [0, 0, 0]])
    label_map = np.zeros(IMAGE.shape[:2], np.uint16)
    label_map[5:20, 5:30], label_map[20:30, 30:50] = 100, 300
    decoded = workers.decode_array("label_map", encode_png(label_map))
    assert decoded.dtype == np.uint16
    same(decoded, label_map)
    same(workers.decode_array("mask", encode_png(label_map)), label_map > 0)


def test_thumbnail_keeps_the_aspect_ratio(workers):
    wide_image = encode_png(np.zeros((100, 900, 3), np.uint8))
    _, data = workers.decode("thumbnail", wide_image)
    assert decode_image(data).shape == (21, 192, 3)


def test_damaged_file_is_an_error_and_the_process_continues(workers):
    for data in (b"", b"no image", encode_png(IMAGE)[:-30]):
        with pytest.raises(ValueError):
            workers.decode("normalize", data)
    same(workers.decode_array("pixels", encode_png(IMAGE)), IMAGE)


def test_file_that_takes_too_long_ends_its_process_only():
    workers = DecodeWorkers(max_cpu_seconds=1)
    bomb = repeat_scans(make_progressive(3000), 4000)
    assert len(bomb) < 2**22
    start = time.perf_counter()
    with pytest.raises(DecodeLimitExceeded, match="more than 1 s"):
        workers.decode("pixels", bomb)
    assert time.perf_counter() - start < 60
    same(workers.decode_array("pixels", encode_png(IMAGE)), IMAGE)
