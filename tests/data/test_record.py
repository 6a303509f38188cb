import io

import cv2
import numpy as np

from mst_jax.data.pictures import encode_png
from mst_jax.data.record import make_record, open_layers, open_record
from tests.data.pictures_on_disk import IMAGE, LABELS


def as_read(record):
    """What TFDS gives back for what a builder yields: files are read, maps decoded."""
    maps = [np.frombuffer(item.read(), np.uint8) for item in record["layers"]]
    return {
        "id": record["id"].encode(),
        "image": record["image"].read(),
        "layers": [
            cv2.imdecode(item, cv2.IMREAD_UNCHANGED)[..., None] for item in maps
        ],
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
