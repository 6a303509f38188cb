"""The form in which every builder writes a picture and the reader finds it again.

Encoded bytes go in as file objects and come out undecoded, so that neither way needs
TensorFlow.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt16

from mst_jax.data.example import Example
from mst_jax.data.formats.images import decode_picture, encode_png

# TFDS hands over the picture's bytes, which are decoded here only when it is asked for.
SKIP_DECODING = {"image": tfds.decode.SkipDecoding()}


def describe(
    builder: tfds.core.DatasetBuilder, description: str
) -> tfds.core.DatasetInfo:
    """The data set's card: what it is and the form of its records."""
    layer = tfds.features.Image(
        shape=(None, None, 1), dtype=np.uint16, encoding_format="png"
    )
    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(None, None, 3)),
            "layers": tfds.features.Sequence(layer),
            "parts": tfds.features.Tensor(shape=(None, 4), dtype=np.int32),
            "stuff": tfds.features.Sequence(layer),
        }
    )
    return tfds.core.DatasetInfo(
        builder=builder, description=description, features=features
    )


def make_record(
    name: str,
    image: bytes,
    layers: Sequence[UInt16[np.ndarray, "h w"]],
    *,
    parts: Sequence[tuple[int, int, int, int]] = (),
    stuff: Sequence[UInt16[np.ndarray, "h w"]] = (),
) -> dict[str, object]:
    """Makes what a builder yields for one picture.

    Args:
        name: of the picture, unique within its split.
        image: JPEG or PNG bytes that decode to 8-bit RGB, see `read_picture`.
        layers: label maps, see `Example`.
        parts: which object is a part of which, see `Example`.
        stuff: label maps of regions that are no objects, see `Example`.
    """
    return {
        "id": name,
        "image": io.BytesIO(image),
        "layers": [io.BytesIO(encode_png(labels)) for labels in layers],
        "parts": np.array(parts, np.int32).reshape(-1, 4),
        "stuff": [io.BytesIO(encode_png(labels)) for labels in stuff],
    }


def open_layers(record: dict[str, object]) -> UInt16[np.ndarray, "l h w"]:
    """The label maps of a record, without decoding the picture."""
    return np.stack(record["layers"])[..., 0]


def open_record(record: dict[str, object]) -> Example:
    """Decodes a record: the inverse of `make_record`, up to JPEG's own loss.

    Sets that were written before records knew of parts and stuff have none.
    """
    known = {}
    if len(record.get("parts", ())):
        known["parts"] = np.asarray(record["parts"], np.int32)
    if len(record.get("stuff", ())):
        known["stuff"] = np.stack(record["stuff"])[..., 0]
    return Example(
        id=record["id"].decode(),
        image=decode_picture(record["image"]),
        layers=open_layers(record),
        **known,
    )
