"""Wholes and their parts: which objects stand at the top, how one descends from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Int32

from mst_jax.data.example import Place

PART_PROB = 0.5  # that a part is wanted in place of its whole
MOST_LEFT_OUT = 3

PartsOf = Mapping[Place, list[Place]]  # whole -> its parts, one or more


def find_parts(rows: Int32[np.ndarray, "p 4"], known: Collection[Place]) -> PartsOf:
    """Lists the parts of each whole; objects that are not `known` do not exist.

    Args:
        rows: [p 4] layer and label of the part, then of the whole, see `Example`.
        known: objects that may be drawn.
    """
    parts_of: dict[Place, list[Place]] = {}
    for layer, label, whole_layer, whole_label in rows.tolist():
        part, whole = Place(layer, label), Place(whole_layer, whole_label)
        if part in known and whole in known:
            parts_of.setdefault(whole, []).append(part)
    return parts_of


def find_roots(parts_of: PartsOf, known: Collection[Place]) -> list[Place]:
    """Lists the objects that are a part of nothing, in their order."""
    below = {part for parts in parts_of.values() for part in parts}
    return [place for place in known if place not in below]


def draw_part(
    rng: np.random.Generator, parts_of: PartsOf, whole: Place
) -> tuple[Place, list[Place]]:
    """Draws what is wanted of a whole: itself or a part, less some of its own parts.

    With probability 0.5 the way leads down to one of the parts, and from there again;
    where it ends, 0 to 3 of the parts are left out.
    Source: the click literature's published sampler.

    Returns:
        The object, and which of its parts are left out of it.
    """
    while whole in parts_of and rng.random() < PART_PROB:
        parts = parts_of[whole]
        whole = parts[int(rng.integers(len(parts)))]
    parts = parts_of.get(whole, [])
    number = int(rng.integers(min(MOST_LEFT_OUT, len(parts)) + 1))
    return whole, [parts[index] for index in rng.permutation(len(parts))[:number]]
