"""Convert masks to polygons along pixel edges, exactly, with holes cut open.

The contours are traced by contourpy. COCO polygons have no holes, so each hole is joined
to the contour on its left by a cut of width zero: one polygon follows the object and its
holes.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from mst_jax.extras import needs_extra

with needs_extra("serve"):
    import contourpy

_LEVEL = 0.75
"""Between background and object. Above the mean of a saddle (two pixels that touch at a
corner only), so that such pixels are separate."""

Ring = Int[np.ndarray, "_ 2"]
"""Corners (x, y) of a closed path; the last one is joined to the first."""


class _Cut(NamedTuple):
    """A cut from a hole to the ring on its left.

    Attributes:
        hole: Index of the ring of the hole.
        start: Index of the corner of the hole where the cut begins.
        point: Corner (x, y) of the other ring where the cut ends.
    """

    hole: int
    start: int
    point: tuple[int, int]


def to_polygons(mask: Bool[np.ndarray, "h w"]) -> list[list[int]]:
    """Return the polygon of each connected part of a mask.

    Parts that touch at a corner only are separate polygons. Filling with the even-odd
    rule, as pycocotools does, gives the mask again.

    Args:
        mask: [h w] object pixels.

    Returns:
        One list [x, y, x, y, ...] of pixel corners for each part; (0, 0) is the outer
        corner of the first pixel.
    """
    object_rows, object_columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    if not object_rows.size:
        return []
    # 1. Only the bounding box is traced.
    top, left = int(object_rows[0]), int(object_columns[0])
    box = mask[top : object_rows[-1] + 1, left : object_columns[-1] + 1]
    corners, ring_offsets, polygon_offsets = _trace_rings(box)
    corners += (left, top)
    # 2. A polygon without holes is its ring; most parts have none.
    polygons = []
    for first, last in itertools.pairwise(polygon_offsets):
        rings = [
            corners[ring_offsets[ring] : ring_offsets[ring + 1]]
            for ring in range(first, last)
        ]
        path = rings[0] if len(rings) == 1 else _join_holes(rings)
        polygons.append(path.ravel().tolist())
    return polygons


def _trace_rings(
    box: Bool[np.ndarray, "h w"],
) -> tuple[Int[np.ndarray, "n 2"], list[int], list[int]]:
    """Trace the contours of a mask.

    Returns:
        The corners (x, y) of all rings; the index of the first corner of each ring, and
        the number of corners; the index of the outer ring of each polygon, which its
        holes follow, and the number of rings.
    """
    # The padding keeps the object off the border.
    generator = contourpy.contour_generator(
        z=np.pad(box, 1).astype(np.float64),
        fill_type=contourpy.FillType.ChunkCombinedOffsetOffset,
    )
    # One chunk: points, first points of the rings, outer rings of the polygons.
    traced: Any = generator.filled(_LEVEL, 2.0)
    (points,), (offsets,), (outer_offsets,) = traced
    # 1. A point lies between two neighboring pixels, so it stands for the edge between
    # them: a vertical edge if its x is fractional.
    is_vertical = points[:, 0] != np.floor(points[:, 0])
    edges = np.floor(points).astype(np.int64)
    # 2. Where the direction changes, the path has the corner at which the edges meet.
    # The last point of a ring equals the first, so that each has a successor.
    is_corner = np.zeros(len(points), bool)
    is_corner[:-1] = is_vertical[:-1] != is_vertical[1:]
    is_corner[offsets[1:] - 1] = False
    (index,) = np.nonzero(is_corner)
    vertical = np.where(is_vertical[index], index, index + 1)
    horizontal = np.where(is_vertical[index], index + 1, index)
    corners = np.stack([edges[vertical, 0], edges[horizontal, 1]], axis=-1)
    # 3. Numbers of corners instead of numbers of points.
    num_before = np.concatenate([[0], np.cumsum(is_corner)])
    return corners, num_before[offsets].tolist(), outer_offsets.tolist()


def _join_holes(rings: list[Ring]) -> Ring:
    """Return one path along an outer ring and its holes.

    Args:
        rings: Outer ring, then the rings of the holes.
    """
    cuts = _find_cuts(rings)
    pieces: list[Ring] = []
    # A stack instead of recursion: holes can be joined to holes, thousands deep.
    walk_stack = [_walk_ring(rings[0], cuts.get(0, {}), 0)]
    while walk_stack:
        step = next(walk_stack[-1], None)
        if step is None:
            walk_stack.pop()
        elif isinstance(step, _Cut):
            hole_cuts = cuts.get(step.hole, {})
            walk_stack.append(_walk_ring(rings[step.hole], hole_cuts, step.start))
        else:
            pieces.append(step)
    path = np.concatenate(pieces)
    # A cut may end at a corner of the ring.
    is_repeated = (path == np.roll(path, 1, axis=0)).all(axis=1)
    return path[~is_repeated]


def _find_cuts(rings: list[Ring]) -> dict[int, dict[int, list[_Cut]]]:
    """Return ring -> index of the first corner of an edge -> the cuts that end there.

    A cut begins at the upper left corner of a hole and runs to the left, to the end of
    the object, which is the next vertical edge in the same row of pixels.

    Args:
        rings: Outer ring, then the rings of the holes.
    """
    # 1. All vertical edges, one row of pixels high, sorted by row and column.
    lengths = np.array([len(ring) for ring in rings])
    starts = np.concatenate(rings)
    ring_of = np.repeat(np.arange(len(rings)), lengths)
    first_of = np.repeat(np.cumsum(lengths) - lengths, lengths)
    index_of = np.arange(len(starts)) - first_of
    ends = starts[first_of + (index_of + 1) % lengths[ring_of]]
    (vertical,) = np.nonzero(starts[:, 0] == ends[:, 0])
    heights = np.abs(starts[vertical, 1] - ends[vertical, 1])
    edge = np.repeat(vertical, heights)
    row_in_edge = np.arange(len(edge)) - np.repeat(
        np.cumsum(heights) - heights, heights
    )
    rows = np.minimum(starts[edge, 1], ends[edge, 1]) + row_in_edge
    width = int(starts[:, 0].max()) + 1
    keys = rows * width + starts[edge, 0]
    order = np.argsort(keys)
    # 2. The upper left corner of each hole, and the edge before it in its row.
    by_ring = np.lexsort((starts[:, 1], starts[:, 0], ring_of))
    hole_starts = by_ring[(np.cumsum(lengths) - lengths)[1:]]
    hole_keys = starts[hole_starts, 1] * width + starts[hole_starts, 0]
    left_edges = edge[order[np.searchsorted(keys[order], hole_keys) - 1]]
    # 3. As a table.
    cuts: dict[int, dict[int, list[_Cut]]] = defaultdict(lambda: defaultdict(list))
    columns = (
        *(ring_of[left_edges], index_of[left_edges], index_of[hole_starts]),
        *(starts[left_edges, 0], starts[hole_starts, 1]),
    )
    table = zip(*(column.tolist() for column in columns), strict=True)
    for hole, (ring, index, start, x, y) in enumerate(table, start=1):
        cuts[ring][index].append(_Cut(hole, start, (x, y)))
    return cuts


def _walk_ring(
    ring: Ring, cuts: dict[int, list[_Cut]], start: int
) -> Iterator[Ring | _Cut]:
    """Yield the corners of a ring from a corner back to it, and the cuts on the way.

    Before and after a cut, the point where it ends is yielded.

    Args:
        ring: Corners of the ring.
        cuts: Index of the first corner of an edge -> the cuts that end there.
        start: Index of the corner to begin and to end with.
    """
    num_corners, num_walked = len(ring), 0
    rolled = np.roll(ring, -start, axis=0)
    for cut_index in sorted((index - start) % num_corners for index in cuts):
        yield rolled[num_walked : cut_index + 1]
        num_walked = cut_index + 1
        corner_y = int(rolled[cut_index, 1])
        # In the order in which the walk along the edge passes them.
        for cut in sorted(
            cuts[(cut_index + start) % num_corners],
            key=lambda item, corner_y=corner_y: abs(item.point[1] - corner_y),
        ):
            yield np.array([cut.point])
            yield cut
            yield np.array([cut.point])
    yield rolled[num_walked:]
    yield rolled[:1]
