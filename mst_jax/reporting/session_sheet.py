"""Sessions as pictures: what the masks were after the first clicks and after the last."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt8
from matplotlib.figure import Figure

from mst_jax.data.targets import EvaluationTarget
from mst_jax.inference import overlay

SHOWN = (1, 2, 3, 5)
"""The masks after so many clicks are shown, and the last."""

TARGET_COLOR = (255, 190, 0)
CELL = 2.2  # inches


class Story(NamedTuple):
    """One session to be drawn.

    Attributes:
        target: the object.
        clicks: [n 3] row, column and 1 = positive or 0 = negative.
        ious: IoU after each click.
        masks: number of clicks -> [h w] mask.
    """

    target: EvaluationTarget
    clicks: Int[np.ndarray, "n 3"]
    ious: Sequence[float]
    masks: Mapping[int, Bool[np.ndarray, "h w"]]


def choose_sessions(records: Sequence[dict], *, num: int) -> tuple[list, list]:
    """The worst and the best sessions: by the mean IoU over their clicks.

    The mean rewards both few clicks and a good end. A session is in one list at most.

    Args:
        records: as in a summary's `objects`.
        num: sessions a list, at most.

    Returns:
        The worst, worst first, and the best, best first.
    """
    ordered = sorted(records, key=lambda record: float(np.mean(record["ious"])))
    num_worst = min(num, (len(ordered) + 1) // 2)
    num_best = min(num, len(ordered) - num_worst)
    return ordered[:num_worst], ordered[::-1][:num_best]


def contact_sheet(stories: Sequence[Story]) -> Figure:
    """One row a session: the object in the picture, then the masks with the clicks."""
    num_columns = 2 + len(SHOWN)
    heights = [_ratio(story) for story in stories]
    size = (num_columns * CELL, sum(heights) * CELL + 0.35 * len(stories))
    figure = Figure(size, dpi=72, layout="constrained")
    grid = figure.subplots(
        len(stories), num_columns, squeeze=False, height_ratios=heights
    )
    for axes, story in zip(grid, stories, strict=True):
        cells = _cells(story)
        for axis in axes:
            axis.set_axis_off()
        for axis, (title, picture) in zip(axes, cells, strict=False):
            axis.imshow(picture, interpolation="bilinear")
            axis.set_title(title, fontsize=8, loc="left", pad=3)
    return figure


def _ratio(story: Story) -> float:
    """Height of a picture by its width, within reason."""
    height, width = story.target.target.shape
    return float(np.clip(height / width, 0.4, 1.6))


def _cells(story: Story) -> list[tuple[str, UInt8[np.ndarray, "h w 3"]]]:
    """Titles and pictures of a row, the last mask at its end."""
    target, num_clicks = story.target, len(story.clicks)
    wanted = overlay.draw(target.image, target.target, color=TARGET_COLOR)
    cells = [(_shortened(target.id), wanted)]
    for count in sorted({*(n for n in SHOWN if n <= num_clicks), num_clicks}):
        picture = overlay.draw(target.image, story.masks[count], story.clicks[:count])
        clicks = "click" if count == 1 else "clicks"
        cells.append(
            (f"{count} {clicks}: IoU {100 * story.ious[count - 1]:.1f} %", picture)
        )
    return cells


def _shortened(name: str, most: int = 24) -> str:
    """A name that fits above a cell: its end tells more than its beginning."""
    return name if len(name) <= most else f"…{name[1 - most :]}"
