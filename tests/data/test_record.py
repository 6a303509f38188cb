import io

import cv2
import numpy as np

from mst_jax.data.formats.images import encode_png
from mst_jax.data.record import make_record, open_layers, open_record
from tests.helpers.image_files import IMAGE, LABELS


def as_read(record):
    """What TFDS gives back for what a builder yields: files are read, maps decoded."""

    def decode(items):
        data = [np.frombuffer(item.read(), np.uint8) for item in items]
        return [cv2.imdecode(item, cv2.IMREAD_UNCHANGED)[..., None] for item in data]

    return {
        "id": record["id"].encode(),
        "image": record["image"].read(),
        "layers": decode(record["layers"]),
        "parts": record["parts"],
        "stuff": decode(record["stuff"]),
    }


def test_a_record_goes_in_as_files_and_comes_out_as_an_example():
    layers = [LABELS, np.full_like(LABELS, 65535)]
    record = make_record("é", encode_png(IMAGE), layers)
    assert isinstance(record["image"], io.BytesIO)
    read = as_read(record)
    np.testing.assert_array_equal(open_layers(read), layers)
    example = open_record(read)
    assert example.id == "é"
    np.testing.assert_array_equal(example.image, IMAGE)
    np.testing.assert_array_equal(example.layers, layers)
    assert example.parts.shape == (0, 4) and example.stuff.shape[0] == 0


def test_parts_and_stuff_come_along():
    record = make_record(
        "a", encode_png(IMAGE), [LABELS], parts=[(0, 2, 0, 1)], stuff=[LABELS + 1]
    )
    example = open_record(as_read(record))
    np.testing.assert_array_equal(example.parts, [[0, 2, 0, 1]])
    np.testing.assert_array_equal(example.stuff, [LABELS + 1])


def test_records_of_older_sets_have_neither_parts_nor_stuff():
    read = as_read(make_record("a", encode_png(IMAGE), [LABELS]))
    del read["parts"], read["stuff"]
    example = open_record(read)
    assert example.parts.shape == (0, 4) and example.stuff.shape[0] == 0
