"""Round image sizes up to few sizes, each of which compiles programs of its own."""

from mst_jax.interaction.padding import SIZE_MULTIPLE, padded_size

# Two for each doubling: at most half of a side is padding.
PADDED_SIDES = tuple(
    SIZE_MULTIPLE * factor
    for factor in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
)
"""Heights and widths of padded images in pixels."""


def bucket_size(height: int, width: int, *, zoom_size: int | None) -> tuple[int, int]:
    """Return the size to which an image is padded.

    A folder of mixed sizes so compiles a handful of programs. Padding changes no mask:
    the network sees crops of the image.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        zoom_size: Side of the crop that the network sees; None = it sees the image
            itself, whose size then stays unchanged.
    """
    padded = padded_size(height, width, zoom_size=zoom_size)
    if zoom_size is None:
        return padded
    bucket_height, bucket_width = (
        next((bucket for bucket in PADDED_SIDES if bucket >= side), side)
        for side in padded
    )
    return bucket_height, bucket_width
