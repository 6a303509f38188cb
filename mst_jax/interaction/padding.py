"""Pad images to a few sizes, so that images of similar size share a compiled program."""

import numpy as np
from jaxtyping import Shaped

# Sides of padded images are multiples of this number of pixels. A smaller multiple
# compiles more often (1.5 s each on 2 cores), a larger one wastes more work on padding.
SIZE_MULTIPLE = 128


def padded_size(height: int, width: int, *, zoom_size: int | None) -> tuple[int, int]:
    """Round the sides of an image up to the next multiple of `SIZE_MULTIPLE`.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        zoom_size: Side of the crop that the network sees; None = it sees the image
            itself, whose size then stays unchanged.
    """
    if zoom_size is None:
        return height, width
    return (
        -(-height // SIZE_MULTIPLE) * SIZE_MULTIPLE,
        -(-width // SIZE_MULTIPLE) * SIZE_MULTIPLE,
    )


def pad_to(
    array: Shaped[np.ndarray, "h w *c"], size: tuple[int, int]
) -> Shaped[np.ndarray, "1 h2 w2 *c"]:
    """Pad an array with zeros at the bottom and on the right, and add a batch axis.

    Args:
        array: [h w ...] image or map.
        size: Height and width of the result in pixels.
    """
    spatial = [(0, size[0] - array.shape[0]), (0, size[1] - array.shape[1])]
    return np.pad(array, spatial + [(0, 0)] * (array.ndim - 2))[None]
