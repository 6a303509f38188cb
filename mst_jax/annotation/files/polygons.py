"""Convert masks to polygons along pixel edges, exactly, with holes cut open.

COCO polygons have no holes. Each hole is therefore joined to the contour on its left by
a cut of width zero, so that one polygon follows the object and its holes.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

# Directions of an edge. The object lies on the right of each edge, so that outer
# contours run clockwise and holes counterclockwise.
_RIGHT, _DOWN, _LEFT, _UP = range(4)
_DIRECTION_XY = ((1, 0), (0, 1), (-1, 0), (0, -1))

Corner = tuple[int, int]
"""Corner (x, y) of a pixel."""

ContourPosition = tuple[int, int]
"""Index of a contour, and index of a corner in it."""


class _Contour(NamedTuple):
    """A closed path along pixel edges.

    Attributes:
        corners: Corners (x, y), one pixel apart.
        directions: Direction of the edge that begins at each corner.
    """

    corners: list[Corner]
    directions: list[int]


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
    # 1. Trace all contours. The padding keeps the object off the border.
    mask = np.pad(mask, 1)
    contours = _trace_contours(mask)
    # 2. Index the upward edges: these are the left borders of objects, and a hole's cut
    # ends at one.
    upward_edges = {
        corner: (contour_index, corner_index)
        for contour_index, contour in enumerate(contours)
        for corner_index, (corner, direction) in enumerate(zip(*contour, strict=True))
        if direction == _UP
    }
    # 3. Join each hole to the contour on its left.
    joined_holes: dict[ContourPosition, list[ContourPosition]] = {}
    outer_indices = []
    for contour_index, contour in enumerate(contours):
        if not _is_hole(contour):
            outer_indices.append(contour_index)
            continue
        # The cut begins at the topmost of the leftmost downward edges of the hole.
        down_indices = (
            corner_index
            for corner_index, direction in enumerate(contour.directions)
            if direction == _DOWN
        )
        start_index = min(down_indices, key=lambda index: contour.corners[index])
        x, y = contour.corners[start_index]
        # It runs to the left through the pixel row below y, to the end of the object.
        left_x = x - int(np.argmin(mask[y, :x][::-1]))
        parent_index, corner_index = upward_edges[left_x, y + 1]
        join_position = (
            parent_index,
            (corner_index + 1) % len(contours[parent_index].corners),
        )
        joined_holes.setdefault(join_position, []).append((contour_index, start_index))
    # 4. Walk along each outer contour, with detours around its holes.
    contour_paths = (
        _join_holes(contours, joined_holes, index) for index in outer_indices
    )
    return [_simplify(path) for path in contour_paths]


def _trace_contours(mask: Bool[np.ndarray, "h w"]) -> list[_Contour]:
    """Follow all edges between object and background; the border has no object."""
    # 1. Collect the directed edges, in insertion order (a dict without values).
    row_edges = mask[1:] != mask[:-1]  # below each row
    column_edges = mask[:, 1:] != mask[:, :-1]  # right of each column
    directed_edges: dict[tuple[Corner, int], None] = {}
    for y, x in np.argwhere(row_edges).tolist():
        enters_object = mask[y + 1, x]
        directed_edges[
            ((x, y + 1), _RIGHT) if enters_object else ((x + 1, y + 1), _LEFT)
        ] = None
    for y, x in np.argwhere(column_edges).tolist():
        enters_object = mask[y, x + 1]
        directed_edges[
            ((x + 1, y + 1), _UP) if enters_object else ((x + 1, y), _DOWN)
        ] = None
    # 2. Follow them until each closed path returns to its start.
    contours = []
    while directed_edges:
        (corner, direction), _ = directed_edges.popitem()
        contour = _Contour([], [])
        directed_edges[corner, direction] = None
        while (corner, direction) in directed_edges:
            del directed_edges[corner, direction]
            contour.corners.append(corner)
            contour.directions.append(direction)
            step_x, step_y = _DIRECTION_XY[direction]
            corner = corner[0] + step_x, corner[1] + step_y
            # Right turn first: it separates parts that touch at a corner only.
            next_directions = ((direction + turn) % 4 for turn in (1, 0, 3))
            direction = next(
                (turn for turn in next_directions if (corner, turn) in directed_edges),
                direction,
            )
        contours.append(contour)
    return contours


def _is_hole(contour: _Contour) -> bool:
    """Return True for a counterclockwise contour.

    The sign is that of the enclosed area: the sum of x over downward minus upward
    edges.
    """
    direction_sign = {_DOWN: 1, _UP: -1, _LEFT: 0, _RIGHT: 0}
    directed_edges = zip(*contour, strict=True)
    return (
        sum(direction_sign[direction] * x for (x, _), direction in directed_edges) < 0
    )


def _join_holes(
    contours: list[_Contour],
    joined_holes: dict[ContourPosition, list[ContourPosition]],
    outer_index: int,
) -> list[Corner]:
    """Return the corners of an outer contour and of the holes joined to it.

    Args:
        contours: All contours of the mask.
        joined_holes: Position on a contour -> the holes that are cut open to it, each
            with the corner where its cut ends. Holes are removed once they are walked.
        outer_index: Index of the outer contour.
    """
    path: list[Corner] = []
    # A stack instead of recursion: holes can be joined to holes, thousands deep.
    walk_stack = [
        (outer_index, 0, 0)
    ]  # contour, its first corner, number of corners walked
    while walk_stack:
        contour_index, start_index, num_walked = walk_stack.pop()
        corners = contours[contour_index].corners
        corner_index = (start_index + num_walked) % len(corners)
        path.append(corners[corner_index])
        if num_walked < len(corners):
            walk_stack.append((contour_index, start_index, num_walked + 1))
            for hole_index, hole_start in joined_holes.pop(
                (contour_index, corner_index), []
            ):
                # After the hole the path returns to this corner.
                walk_stack.append((contour_index, corner_index, len(corners)))
                walk_stack.append((hole_index, hole_start, 0))
    return path


def _simplify(path: list[Corner]) -> list[int]:
    """Drop corners on straight lines and subtract the padding."""
    directions = [np.sign(np.subtract(b, a)).tolist() for a, b in pairwise(path)]
    corners = [path[0]] if directions[0] != directions[-1] else []
    corners += [
        path[k] for k in range(1, len(directions)) if directions[k] != directions[k - 1]
    ]
    return [value - 1 for corner in corners for value in corner]
