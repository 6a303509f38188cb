"""The target as tokens see it: one pixel a cell."""

import jax
from jaxtyping import Array, Bool


def token_side(picture: Bool[Array, "b h w"], num_tokens: int) -> int:
    """Returns the side in pixels of the squares that tokens of one scale stand for.

    Raises:
        ValueError: no square cuts the picture into so many tokens.
    """
    _, height, width = picture.shape
    side = max(round((height * width / num_tokens) ** 0.5), 1)
    if (height // side) * (width // side) != num_tokens:
        raise ValueError(
            f"{num_tokens} tokens do not cut a picture of {height}x{width} into squares; "
            "give the target at the size of the picture that the model saw"
        )
    return side


def read_cells(picture: Bool[Array, "b h w"], *, side: int) -> Bool[Array, "b n"]:
    """Reads the top-left pixel of each whole cell, row by row.

    Args:
        picture: [b h w] target, or valid.
        side: of the square cells in pixels.
    """
    _, height, width = picture.shape
    whole = picture[:, : height - height % side, : width - width % side]
    return jax.lax.collapse(whole[:, ::side, ::side], 1)
