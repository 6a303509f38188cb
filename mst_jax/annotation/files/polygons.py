"""Masks -> polygons along the edges of pixels, exact, with holes cut open.

COCO's polygons know no holes: each is joined to what lies on its left by a cut of no
width, so that one polygon goes around the object and back and forth to its holes.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

# The object lies on the right of each edge: its outline goes clockwise, holes do not.
_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEP = ((1, 0), (0, 1), (-1, 0), (0, -1))

Corner = tuple[int, int]


class _Ring(NamedTuple):
    """Corners (x, y) along the edges of pixels, one pixel apart, and the ways on."""

    corners: list[Corner]
    ways: list[int]


def to_polygons(mask: Bool[np.ndarray, "h w"]) -> list[list[int]]:
    """The outline of each part, [x, y, x, y, ...] in corners of pixels.

    Parts that touch at a corner are apart. Even-odd filling gives the mask again, as
    pycocotools does it; (0, 0) is the outer corner of the first pixel.
    """
    mask = np.pad(mask, 1)
    rings = _trace(mask)
    place_of = {
        corner: (number, index)
        for number, ring in enumerate(rings)
        for index, (corner, way) in enumerate(zip(*ring, strict=True))
        if way == _UP
    }
    holes: dict[tuple[int, int], list[tuple[int, int]]] = {}
    outlines = []
    for number, ring in enumerate(rings):
        if not _is_hole(ring):
            outlines.append(number)
            continue
        downs = (index for index, way in enumerate(ring.ways) if way == _DOWN)
        start = min(downs, key=lambda index: ring.corners[index])
        x, y = ring.corners[start]
        # The row of pixels below y: leftwards to where the object ends.
        left = x - int(np.argmin(mask[y, :x][::-1]))
        parent, index = place_of[left, y + 1]
        after = parent, (index + 1) % len(rings[parent].corners)
        holes.setdefault(after, []).append((number, start))
    return [_write(_walk(rings, holes, number)) for number in outlines]


def _trace(mask: Bool[np.ndarray, "h w"]) -> list[_Ring]:
    """Follows all edges between object and the rest; the border holds no object."""
    row_ends = mask[1:] != mask[:-1]  # edges below a row
    column_ends = mask[:, 1:] != mask[:, :-1]
    edges: dict[tuple[Corner, int], None] = {}
    for y, x in np.argwhere(row_ends).tolist():
        begins = mask[y + 1, x]
        edges[((x, y + 1), _RIGHT) if begins else ((x + 1, y + 1), _LEFT)] = None
    for y, x in np.argwhere(column_ends).tolist():
        begins = mask[y, x + 1]
        edges[((x + 1, y + 1), _UP) if begins else ((x + 1, y), _DOWN)] = None
    rings = []
    while edges:
        (corner, way), _ = edges.popitem()
        ring = _Ring([], [])
        edges[corner, way] = None
        while (corner, way) in edges:
            del edges[corner, way]
            ring.corners.append(corner)
            ring.ways.append(way)
            corner = corner[0] + _STEP[way][0], corner[1] + _STEP[way][1]
            turns = ((way + turn) % 4 for turn in (1, 0, 3))
            way = next((turn for turn in turns if (corner, turn) in edges), way)
        rings.append(ring)
    return rings


def _is_hole(ring: _Ring) -> bool:
    """Does it go against the clock? By its area: x of downward less upward edges."""
    sign = {_DOWN: 1, _UP: -1, _LEFT: 0, _RIGHT: 0}
    ways = zip(*ring, strict=True)
    return sum(sign[way] * x for (x, _), way in ways) < 0


def _walk(
    rings: list[_Ring],
    holes: dict[tuple[int, int], list[tuple[int, int]]],
    outline: int,
) -> list[Corner]:
    """The corners of an outline, and of its holes where they are joined to it."""
    path: list[Corner] = []
    todo = [(outline, 0, 0)]  # ring, index where it began, corners of it gone
    while todo:
        number, start, gone = todo.pop()
        corners = rings[number].corners
        index = (start + gone) % len(corners)
        path.append(corners[index])
        if gone < len(corners):
            todo.append((number, start, gone + 1))
            for hole, begin in holes.pop((number, index), []):
                todo.append((number, index, len(corners)))  # back here after the hole
                todo.append((hole, begin, 0))
    return path


def _write(path: list[Corner]) -> list[int]:
    """Leaves out the corners where the path goes straight on; removes the padding."""
    way = [np.sign(np.subtract(b, a)).tolist() for a, b in pairwise(path)]
    kept = [path[0]] if way[0] != way[-1] else []
    kept += [path[k] for k in range(1, len(way)) if way[k] != way[k - 1]]
    return [value - 1 for corner in kept for value in corner]
