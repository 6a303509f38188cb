"""Sample a target from a hierarchy of objects and their parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Int32

from mst_jax.data.example import ObjectId

# Probability that a part becomes the target instead of its parent.
PART_PROB = 0.5
MAX_EXCLUDED_PARTS = 3

# Parent -> its parts, one or more.
PartsByParent = Mapping[ObjectId, list[ObjectId]]


def group_parts(
    part_rows: Int32[np.ndarray, "p 4"], known_ids: Collection[ObjectId]
) -> PartsByParent:
    """List the parts of each parent among the known objects.

    Args:
        part_rows: [p 4] layer and label of a part, then of its parent, see `Example`.
        known_ids: Objects that may be sampled; all other objects are treated as absent.

    Returns:
        The parts of each parent that has any.
    """
    parts_of: dict[ObjectId, list[ObjectId]] = {}
    for layer, label, parent_layer, parent_label in part_rows.tolist():
        part_id = ObjectId(layer, label)
        parent_id = ObjectId(parent_layer, parent_label)
        if part_id in known_ids and parent_id in known_ids:
            parts_of.setdefault(parent_id, []).append(part_id)
    return parts_of


def find_roots(
    parts_of: PartsByParent, known_ids: Collection[ObjectId]
) -> list[ObjectId]:
    """List the objects that are a part of no other, in their order.

    Args:
        parts_of: Parts of each parent, see `group_parts`.
        known_ids: Objects that may be sampled.
    """
    all_parts = {part_id for parts in parts_of.values() for part_id in parts}
    return [object_id for object_id in known_ids if object_id not in all_parts]


def sample_part(
    rng: np.random.Generator, parts_of: PartsByParent, root: ObjectId
) -> tuple[ObjectId, list[ObjectId]]:
    """Sample an object or one of its parts, and which of its own parts to exclude.

    With probability 0.5 the walk descends to one of the parts, and from there again;
    where it ends, 0 to 3 of the parts are excluded.
    Source: the click literature's published sampler.

    Args:
        rng: Random generator.
        parts_of: Parts of each parent, see `group_parts`.
        root: Object at which the walk starts.

    Returns:
        The object, and which of its parts are excluded from it.
    """
    selected_id = root
    while selected_id in parts_of and rng.random() < PART_PROB:
        parts = parts_of[selected_id]
        selected_id = parts[int(rng.integers(len(parts)))]
    parts = parts_of.get(selected_id, [])
    num_excluded = int(rng.integers(min(MAX_EXCLUDED_PARTS, len(parts)) + 1))
    # The whole permutation is drawn, so that the count does not change the random stream.
    excluded_order = rng.permutation(len(parts))[:num_excluded]
    return selected_id, [parts[index] for index in excluded_order]
