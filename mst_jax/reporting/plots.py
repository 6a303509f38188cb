"""Plot summaries of evaluations with matplotlib."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mst_jax.evaluation import metrics
from mst_jax.evaluation.summary import AREA_FRACTION_EDGES, Summary

# Colors that color-blind readers can distinguish (Okabe and Ito).
PLOT_COLORS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#444444",
)

GRID_COLOR = "#eeeeee"

# Gap in clicks between the last click and the position of "never".
NEVER_OFFSET = 2


def plot_iou_curves(summaries_by_name: Mapping[str, Summary]) -> Figure:
    """Plot mean IoU against clicks, one line for each evaluation.

    The middle half of the objects is shaded.

    Args:
        summaries_by_name: Name for the legend -> summary, see `evaluation.summary`.
    """
    figure, axes = _make_axes("clicks", "IoU", figure_size=(6.4, 4.0))
    for index, (name, summary) in enumerate(summaries_by_name.items()):
        max_clicks = _max_clicks(summary)
        iou_curves = [
            metrics.extend_iou_curve(record["ious"], max_clicks)
            for record in summary["objects"]
        ]
        click_counts = np.arange(1, max_clicks + 1)
        # Quartiles show how the objects differ and stay inside 0 to 1.
        lower_quartile, upper_quartile = np.quantile(iou_curves, [0.25, 0.75], axis=0)
        curve_color = PLOT_COLORS[index % len(PLOT_COLORS)]
        mean_curve = np.mean(iou_curves, axis=0)
        axes.plot(click_counts, mean_curve, "o-", ms=3, color=curve_color, label=name)
        axes.fill_between(
            click_counts,
            lower_quartile,
            upper_quartile,
            color=curve_color,
            alpha=0.12,
            lw=0,
        )
    axes.set(ylim=(0, 1), title="Mean IoU; shaded: the middle half of the objects")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xticks(_click_ticks(max(map(_max_clicks, summaries_by_name.values()))))
    axes.legend(loc="lower right", frameon=False)
    return figure


def plot_click_histograms(
    summary: Summary, iou_percents: Sequence[str] = ("85", "90")
) -> Figure:
    """Plot how many objects needed how many clicks, one histogram for each target IoU.

    Objects that never reached the target stand apart, behind the last click.

    Args:
        summary: Summary of an evaluation, see `evaluation.summary`.
        iou_percents: Target IoUs in percent; those that the summary lacks are left out.
    """
    max_clicks = _max_clicks(summary)
    shown_percents = [
        iou_percent for iou_percent in iou_percents if iou_percent in summary["noc"]
    ]
    figure, axes = _make_axes("clicks needed", "objects", figure_size=(6.4, 3.4))
    # All bars of one click count together leave a gap to those of the next.
    bar_width = 0.8 / max(len(shown_percents), 1)
    never_position = max_clicks + NEVER_OFFSET
    for index, iou_percent in enumerate(shown_percents):
        click_positions = [
            _click_position(record["ious"], iou_percent, max_clicks)
            for record in summary["objects"]
        ]
        bar_heights = np.bincount(click_positions, minlength=never_position + 1)[1:]
        # The bars of one click count stand side by side around it.
        bar_offset = (index - (len(shown_percents) - 1) / 2) * bar_width
        bar_centers = np.arange(1, never_position + 1) + bar_offset
        legend_label = (
            f"to IoU {iou_percent} %: {summary['noc'][iou_percent]:.2f} on average"
        )
        curve_color = PLOT_COLORS[index]
        axes.bar(
            bar_centers, bar_heights, bar_width, color=curve_color, label=legend_label
        )
    axes.set_xticks(*_ticks_with_never(max_clicks))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title=f"{summary['dataset']}: clicks needed")
    axes.legend(frameon=False)
    return figure


def plot_clicks_by_size(summary: Summary, iou_percent: str = "85") -> Figure:
    """Plot clicks needed against the area of the object relative to the image's.

    Every session is a dot, moved up or down at random so that equal ones are visible; the
    line connects the means of the size bins.

    Args:
        summary: Summary of an evaluation, see `evaluation.summary`.
        iou_percent: Target IoU in percent.
    """
    max_clicks = _max_clicks(summary)
    figure, axes = _make_axes("object area", "clicks needed", figure_size=(6.4, 3.6))
    # 1. A dot for each session.
    records = summary["objects"]
    area_fractions = np.array([record["area_fraction"] for record in records])
    click_positions = [
        _click_position(record["ious"], iou_percent, max_clicks) for record in records
    ]
    # A fixed seed: the same summary gives the same plot.
    dot_jitter = np.random.default_rng(0).uniform(-0.25, 0.25, len(click_positions))
    dot_heights = click_positions + dot_jitter
    axes.scatter(
        area_fractions, dot_heights, s=14, alpha=0.5, color=PLOT_COLORS[0], lw=0
    )
    # 2. The mean of each size bin.
    bin_centers = [
        _geometric_mean_area(
            area_fractions,
            min_fraction=size_bin["min_area_fraction"],
            max_fraction=size_bin["max_area_fraction"],
        )
        for size_bin in summary["by_size"]
    ]
    bin_means = [size_bin["noc"][iou_percent] for size_bin in summary["by_size"]]
    legend_label = f"mean of a size ({max_clicks} if never reached)"
    axes.plot(
        bin_centers, bin_means, "D-", color=PLOT_COLORS[1], ms=5, label=legend_label
    )
    # 3. A logarithmic axis with the edges of the bins; 0 has no place on it.
    axes.set_xscale("log")
    min_shown = area_fractions.min() / 4
    bin_edges = [
        bin_edge
        for bin_edge in AREA_FRACTION_EDGES
        if bin_edge >= min_shown and bin_edge > 0
    ]
    axes.set_xticks(bin_edges, [f"{100 * bin_edge:g} %" for bin_edge in bin_edges])
    axes.grid(axis="x", color=GRID_COLOR)
    axes.minorticks_off()
    axes.set_yticks(*_ticks_with_never(max_clicks))
    plot_title = f"{summary['dataset']}: clicks to IoU {iou_percent} %"
    axes.set(ylim=(0, max_clicks + NEVER_OFFSET + 1), title=plot_title)
    axes.legend(frameon=False, loc="lower left")
    return figure


def _geometric_mean_area(
    area_fractions: Float[np.ndarray, " n"], *, min_fraction: float, max_fraction: float
) -> float:
    """Return the center of a size bin's objects on a logarithmic axis."""
    in_bin = (area_fractions >= min_fraction) & (area_fractions <= max_fraction)
    return float(np.exp(np.log(area_fractions[in_bin]).mean()))


def _make_axes(
    x_label: str, y_label: str, *, figure_size: tuple[float, float]
) -> tuple[Figure, Axes]:
    """Create a figure with one pair of plain axes; `figure_size` is in inches."""
    # Not `pyplot.figure`: that would keep the figure in memory and need a display.
    figure = Figure(figure_size, dpi=120, layout="constrained")
    axes: Axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=GRID_COLOR)
    axes.set_axisbelow(True)
    axes.set(xlabel=x_label, ylabel=y_label)
    return figure, axes


def _max_clicks(summary: Summary) -> int:
    """Return the number of clicks after which the sessions ended."""
    return summary["settings"]["max_clicks"]


def _click_position(ious: Sequence[float], iou_percent: str, max_clicks: int) -> int:
    """Return the clicks needed, or the position of "never" if the target was missed."""
    target_iou = int(iou_percent) / 100
    if metrics.is_failure(ious, target_iou=target_iou, max_clicks=max_clicks):
        return max_clicks + NEVER_OFFSET
    return metrics.clicks_needed(ious, target_iou=target_iou, max_clicks=max_clicks)


def _ticks_with_never(max_clicks: int) -> tuple[list[int], list[str]]:
    """Return the positions and labels of the click counts and of "never"."""
    tick_positions = _click_ticks(max_clicks)
    return [*tick_positions, max_clicks + NEVER_OFFSET], [
        *map(str, tick_positions),
        "never",
    ]


def _click_ticks(max_clicks: int) -> list[int]:
    """Return 1 and the multiples of five up to `max_clicks`; all counts if few."""
    if max_clicks <= 10:
        return list(range(1, max_clicks + 1))
    return [1, *range(5, max_clicks + 1, 5)]
