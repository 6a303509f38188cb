"""What goes wrong when a checkpoint is written, in a sentence."""

import contextlib
from collections.abc import Iterator

from mst_jax.atomic_io import Place


@contextlib.contextmanager
def told_shortly(folder: Place) -> Iterator[None]:
    """Makes an OSError of one sentence of any error; TensorStore's fill a page."""
    try:
        yield
    except Exception as error:
        why = str(error).partition("\n")[0]
        if "RESOURCE_EXHAUSTED" in why or "No space left" in why:
            why = "the disk is full"
        raise OSError(f"no checkpoint could be written into {folder}: {why}") from None
