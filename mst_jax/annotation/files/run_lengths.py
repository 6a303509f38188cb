"""Masks as compressed run lengths of COCO, in the database and in COCO files."""

import struct
from typing import Any

import numpy as np
from jaxtyping import Bool

from mst_jax.extras import needs_extra

with needs_extra("serve"):
    from pycocotools import mask as coco_mask

_SIZE = struct.Struct("<II")


def count_runs(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """Return COCO's uncompressed run lengths: down the columns, background first.

    Args:
        mask: [h w] object pixels.
    """
    height = mask.shape[0]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return [mask.size]
    # 1. The box of the object, each column with background above and below: most
    #    objects are small, and in large images this takes most of the time.
    top, left = int(rows[0]), int(columns[0])
    box = mask[top : rows[-1] + 1, left : columns[-1] + 1].T
    padded_box = np.zeros((box.shape[0], box.shape[1] + 2), bool)
    padded_box[:, 1:-1] = box
    # 2. Where runs begin and end in the image. Each run ends in its column.
    column, row = np.nonzero(padded_box[:, 1:] != padded_box[:, :-1])
    positions = (column + left) * height + row + top
    # 3. A run that goes on in the next column is one run.
    is_joint = positions[1:] == positions[:-1]
    is_kept = ~(np.append(is_joint, False) | np.append(False, is_joint))
    counts = np.diff(positions[is_kept], prepend=0, append=mask.size).tolist()
    # The last run is background, unless the object ends in the last pixel.
    return counts if counts[-1] else counts[:-1]


def to_coco_rle(mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """Return COCO's compressed run lengths of a mask.

    Args:
        mask: [h w] object pixels.
    """
    data = encode_mask(mask)
    return {"size": list(mask.shape), "counts": data[_SIZE.size :].decode()}


def encode_mask(mask: Bool[np.ndarray, "h w"]) -> bytes:
    """Encode a mask as its size and its run lengths.

    Args:
        mask: [h w] object pixels.
    """
    height, width = mask.shape
    run_lengths: Any = {"size": [height, width], "counts": count_runs(mask)}
    encoded_mask: Any = coco_mask.frPyObjects(run_lengths, height, width)
    return _SIZE.pack(height, width) + encoded_mask["counts"]


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
    return np.ascontiguousarray(coco_mask.decode(encoded_mask)).view(bool)
