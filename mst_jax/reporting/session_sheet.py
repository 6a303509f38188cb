"""Draw sessions as images: the masks after the first clicks and after the last."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mst_jax.data.targets import EvaluationTarget
from mst_jax.inference.overlay import draw_overlay

# Numbers of clicks after which the mask is drawn; the last mask is drawn as well.
SHOWN_CLICK_COUNTS = (1, 2, 3, 5)

# RGB of the ground truth.
TARGET_COLOR = (255, 190, 0)

# Width of an image on the sheet, and height of a row's titles, in inches.
CELL_WIDTH = 2.2
TITLE_HEIGHT = 0.35

MAX_TITLE_LENGTH = 24


class SessionFigure(NamedTuple):
    """One session to draw.

    Attributes:
        target: Object of the session.
        clicks: [n 3] row, column and 1 = positive or 0 = negative.
        ious: [n] IoU after each click.
        masks: Number of clicks -> [h w] mask after these clicks.
    """

    target: EvaluationTarget
    clicks: Int[np.ndarray, "n 3"]
    ious: Sequence[float]
    masks: Mapping[int, Bool[np.ndarray, "h w"]]


def select_worst_and_best(
    records: Sequence[dict[str, Any]], *, max_sessions: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Select the worst and the best sessions by the mean IoU over their clicks.

    The mean rewards both few clicks and a good end. No session is in both lists.

    Args:
        records: Records in `objects` of a summary.
        max_sessions: Maximum length of each list.

    Returns:
        The worst sessions, worst first, and the best sessions, best first.
    """
    by_mean_iou = sorted(records, key=lambda record: float(np.mean(record["ious"])))
    # With few sessions the lists share them; the worst get one more.
    num_worst = min(max_sessions, (len(by_mean_iou) + 1) // 2)
    num_best = min(max_sessions, len(by_mean_iou) - num_worst)
    return by_mean_iou[:num_worst], by_mean_iou[::-1][:num_best]


def draw_contact_sheet(sessions: Sequence[SessionFigure]) -> Figure:
    """Draw one row for each session: the object, then the masks with the clicks.

    Args:
        sessions: Sessions to draw, at least one.
    """
    num_columns = 2 + len(SHOWN_CLICK_COUNTS)
    # Rows are as high as their images, so portraits and landscapes fill their cells.
    row_heights = [_aspect_ratio(session) for session in sessions]
    sheet_height = sum(row_heights) * CELL_WIDTH + TITLE_HEIGHT * len(sessions)
    sheet_size = (num_columns * CELL_WIDTH, sheet_height)
    figure = Figure(sheet_size, dpi=72, layout="constrained")
    axes_grid = figure.subplots(
        len(sessions), num_columns, squeeze=False, height_ratios=row_heights
    )
    for row_axes, session in zip(axes_grid, sessions, strict=True):
        _draw_row(row_axes, session)
    return figure


def _draw_row(row_axes: Iterable[Axes], session: SessionFigure) -> None:
    """Draw one session; a short one leaves the last axes empty."""
    for axes in row_axes:
        axes.set_axis_off()
    for axes, (title, drawn_image) in zip(
        row_axes, _titled_images(session), strict=False
    ):
        axes.imshow(drawn_image, interpolation="bilinear")
        axes.set_title(title, fontsize=8, loc="left", pad=3)


def _aspect_ratio(session: SessionFigure) -> float:
    """Return height divided by width of an image, limited to 0.4 to 1.6."""
    image_height, image_width = session.target.target.shape
    return float(np.clip(image_height / image_width, 0.4, 1.6))


def _titled_images(
    session: SessionFigure,
) -> list[tuple[str, UInt8[np.ndarray, "h w 3"]]]:
    """Return the titles and images of a row, the last mask at its end."""
    target, num_clicks = session.target, len(session.clicks)
    ground_truth = draw_overlay(target.image, target.target, color=TARGET_COLOR)
    titled_images = [(_shorten_title(target.id), ground_truth)]
    shown_counts = {
        num_shown for num_shown in SHOWN_CLICK_COUNTS if num_shown <= num_clicks
    }
    # The last mask comes last, also where the session ended after few clicks.
    for num_shown in sorted(shown_counts | {num_clicks}):
        drawn_image = draw_overlay(
            target.image, session.masks[num_shown], session.clicks[:num_shown]
        )
        click_noun = "click" if num_shown == 1 else "clicks"
        iou_percent = 100 * session.ious[num_shown - 1]
        titled_images.append(
            (f"{num_shown} {click_noun}: IoU {iou_percent:.1f} %", drawn_image)
        )
    return titled_images


def _shorten_title(object_id: str) -> str:
    """Return an id that fits above an image; its end identifies it best."""
    if len(object_id) <= MAX_TITLE_LENGTH:
        return object_id
    return f"…{object_id[1 - MAX_TITLE_LENGTH :]}"
