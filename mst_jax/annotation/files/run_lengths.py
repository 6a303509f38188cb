"""Masks as compressed run lengths of COCO, in the database and in COCO files."""

import struct
from typing import Any

import numpy as np
from jaxtyping import Bool

from mst_jax.extras import needs_extra

with needs_extra("serve"):
    from pycocotools import mask as coco_mask

_SIZE = struct.Struct("<II")


def to_coco_rle(mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """Return COCO's compressed run lengths of a mask.

    Args:
        mask: [h w] object pixels.
    """
    encoded_mask: Any = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded_mask["counts"].decode()}


def encode_mask(mask: Bool[np.ndarray, "h w"]) -> bytes:
    """Encode a mask as its size and its run lengths.

    Args:
        mask: [h w] object pixels.
    """
    encoded_mask: Any = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return _SIZE.pack(*mask.shape) + encoded_mask["counts"]


def to_encoded_mask(data: bytes) -> dict[str, Any]:
    """Return what `encode_mask` returned in the form of pycocotools.

    Args:
        data: Size and run lengths.
    """
    return {"size": list(_SIZE.unpack_from(data)), "counts": data[_SIZE.size :]}


def decode_mask(data: bytes) -> Bool[np.ndarray, "h w"]:
    """Decode what `encode_mask` returned.

    Args:
        data: Size and run lengths.
    """
    encoded_mask: Any = to_encoded_mask(data)
    return np.ascontiguousarray(coco_mask.decode(encoded_mask)).astype(bool)
