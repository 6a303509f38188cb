import io

import cv2
import numpy as np

from mst_jax.data.formats.images import encode_png
from mst_jax.data.record import decode_layers, decode_record, encode_record
from tests.helpers.image_files import IMAGE, LABELS


def read_like_tfds(record):
    """Return a record as TFDS reads it: files are bytes, label maps decoded."""

    def decode_files(files):
        buffers = [np.frombuffer(file.read(), np.uint8) for file in files]
        return [
            cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)[..., None] for buffer in buffers
        ]

    return {
        "id": record["id"].encode(),
        "image": record["image"].read(),
        "layers": decode_files(record["layers"]),
        "parts": record["parts"],
        "stuff": decode_files(record["stuff"]),
    }


def test_record_is_encoded_as_files_and_decoded_to_an_example():
    layers = [LABELS, np.full_like(LABELS, 65535)]
    record = encode_record("é", encode_png(IMAGE), layers)
    assert isinstance(record["image"], io.BytesIO)
    tfds_record = read_like_tfds(record)
    np.testing.assert_array_equal(decode_layers(tfds_record), layers)
    example = decode_record(tfds_record)
    assert example.id == "é"
    np.testing.assert_array_equal(example.image, IMAGE)
    np.testing.assert_array_equal(example.layers, layers)
    assert example.parts.shape == (0, 4) and example.stuff.shape[0] == 0


def test_parts_and_stuff_survive():
    record = encode_record(
        "a", encode_png(IMAGE), [LABELS], parts=[(0, 2, 0, 1)], stuff=[LABELS + 1]
    )
    example = decode_record(read_like_tfds(record))
    np.testing.assert_array_equal(example.parts, [[0, 2, 0, 1]])
    np.testing.assert_array_equal(example.stuff, [LABELS + 1])


def test_older_record_has_neither_parts_nor_stuff():
    tfds_record = read_like_tfds(encode_record("a", encode_png(IMAGE), [LABELS]))
    del tfds_record["parts"], tfds_record["stuff"]
    example = decode_record(tfds_record)
    assert example.parts.shape == (0, 4) and example.stuff.shape[0] == 0
