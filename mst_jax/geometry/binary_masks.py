"""Convert masks of callers to boolean arrays; refuse all but masks of one object."""

from typing import Any

import numpy as np
from jaxtyping import Bool


def as_binary_mask(mask: Any, name: str) -> Bool[np.ndarray, "h w"]:
    """Convert a mask to a new boolean array.

    A probability map or a label map of several objects is not a mask: what is not 0
    would be far more than the object.

    Args:
        mask: [h w] True on the object, or one number there and 0 elsewhere.
        name: Name of the argument, for the error message.

    Raises:
        ValueError: The values are not numbers, not finite, or more than two.
    """
    values = np.asarray(mask)
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise ValueError(
            f"{name} is {values.dtype} with values that are not finite numbers, expected "
            "bool"
        )
    is_object = values != 0
    object_values = values[is_object]
    # Cheaper than sorting the values of a large image.
    if object_values.size and (object_values != object_values[0]).any():
        raise ValueError(
            f"{name} has more than two values, from {values.min():g} to {values.max():g}, "
            "expected bool; compare a probability with a threshold or a label map with "
            "the number of one object"
        )
    return is_object
