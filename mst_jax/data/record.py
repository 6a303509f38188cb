"""Encode images and labels as records of a prepared dataset, and decode them.

Encoded bytes go in as file objects and come out undecoded, so that neither direction
needs TensorFlow.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.example import Example
from mst_jax.data.formats.images import decode_image, encode_png
from mst_jax.extras import needs_extra

with needs_extra("data"):
    import tensorflow_datasets as tfds

# TFDS returns the bytes of the image, which are decoded here only when they are needed.
SKIP_DECODING = {"image": tfds.decode.SkipDecoding()}


def make_dataset_info(
    builder: tfds.core.DatasetBuilder, description: str
) -> tfds.core.DatasetInfo:
    """Make the card of a dataset: its description and the form of its records.

    Args:
        builder: Builder of the dataset.
        description: One or more sentences on what the dataset is.
    """
    label_map = tfds.features.Image(
        shape=(None, None, 1), dtype=np.uint16, encoding_format="png"
    )
    # These names are in the files of every prepared dataset.
    record_features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(None, None, 3)),
            "layers": tfds.features.Sequence(label_map),
            "parts": tfds.features.Tensor(shape=(None, 4), dtype=np.int32),
            "stuff": tfds.features.Sequence(label_map),
        }
    )
    return tfds.core.DatasetInfo(
        builder=builder, description=description, features=record_features
    )


def encode_record(
    image_id: str,
    image_data: bytes,
    layers: Sequence[UInt16[np.ndarray, "h w"]],
    *,
    parts: Sequence[tuple[int, int, int, int]] = (),
    stuff: Sequence[UInt16[np.ndarray, "h w"]] = (),
) -> dict[str, Any]:
    """Make the record that a builder yields for one image.

    Args:
        image_id: Name of the image, unique within its split.
        image_data: JPEG or PNG bytes that decode to 8-bit RGB, see `read_image`.
        layers: [h w] uint16 label maps of the objects, see `Example`.
        parts: Layer and label of a part, then of its parent, see `Example`.
        stuff: [h w] uint16 label maps of areas that are not objects, see `Example`.
    """
    return {
        "id": image_id,
        "image": io.BytesIO(image_data),
        "layers": [io.BytesIO(encode_png(labels)) for labels in layers],
        # Also without parts the array has four columns.
        "parts": np.array(parts, np.int32).reshape(-1, 4),
        "stuff": [io.BytesIO(encode_png(labels)) for labels in stuff],
    }


def decode_layers(record: Mapping[str, Any]) -> UInt16[np.ndarray, "l h w"]:
    """Return the label maps of a record, without decoding the image."""
    return np.stack(record["layers"])[..., 0]


def decode_record(record: Mapping[str, Any]) -> Example:
    """Decode a record: the inverse of `encode_record`, up to the loss of JPEG.

    Args:
        record: Record as TFDS reads it; records that were written before `parts` and
            `stuff` existed have none.
    """
    # An empty sequence has no array of the right shape; the defaults of `Example` have.
    optional_fields = {}
    if len(record.get("parts", ())):
        optional_fields["parts"] = np.asarray(record["parts"], np.int32)
    if len(record.get("stuff", ())):
        optional_fields["stuff"] = np.stack(record["stuff"])[..., 0]
    return Example(
        id=record["id"].decode(),
        image=decode_image(record["image"]),
        layers=decode_layers(record),
        **optional_fields,
    )
