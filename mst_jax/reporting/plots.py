"""Summaries of evaluations -> plots."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mst_jax.evaluation import metrics
from mst_jax.evaluation.summary import SIZES

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444")
"""Told apart also by the colour-blind (Okabe and Ito)."""


def iou_curves(runs: Mapping[str, dict]) -> Figure:
    """Mean IoU against clicks, one line a run, with the middle half of the objects.

    Args:
        runs: name for the legend -> summary, see `evaluation.summary`.
    """
    figure, axes = _axes("clicks", "IoU", size=(6.4, 4.0))
    for number, (name, one) in enumerate(runs.items()):
        limit = one["settings"]["max_clicks"]
        curves = [metrics.lengthen(item["ious"], limit) for item in one["objects"]]
        count = np.arange(1, limit + 1)
        low, high = np.quantile(curves, [0.25, 0.75], axis=0)
        color = COLORS[number % len(COLORS)]
        axes.plot(count, np.mean(curves, axis=0), "o-", ms=3, color=color, label=name)
        axes.fill_between(count, low, high, color=color, alpha=0.12, lw=0)
    axes.set(ylim=(0, 1), title="Mean IoU; shaded: the middle half of the objects")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xticks(_ticks(max(one["settings"]["max_clicks"] for one in runs.values())))
    axes.legend(loc="lower right", frameon=False)
    return figure


def click_histograms(one: dict, qualities: Sequence[str] = ("85", "90")) -> Figure:
    """How many objects needed how many clicks, one histogram a wanted IoU.

    Objects that never reached it stand apart, behind the last click.
    """
    limit = one["settings"]["max_clicks"]
    shown = [quality for quality in qualities if quality in one["noc"]]
    figure, axes = _axes("clicks needed", "objects", size=(6.4, 3.4))
    width = 0.8 / max(len(shown), 1)
    for number, quality in enumerate(shown):
        needed = [_needed(item["ious"], quality, limit) for item in one["objects"]]
        counts = np.bincount(needed, minlength=limit + 3)[1:]
        place = np.arange(1, limit + 3) + (number - (len(shown) - 1) / 2) * width
        label = f"to IoU {quality} %: {one['noc'][quality]:.2f} on average"
        axes.bar(place, counts, width, color=COLORS[number], label=label)
    ticks = [*_ticks(limit), limit + 2]
    axes.set_xticks(ticks, [*map(str, ticks[:-1]), "never"])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title=f"{one['dataset']}: clicks needed")
    axes.legend(frameon=False)
    return figure


def clicks_by_size(one: dict, quality: str = "85") -> Figure:
    """Clicks needed against the share of the picture that the object fills.

    Every session is a dot, moved up or down a little so that equal ones are seen; the
    line goes through the means of the sizes.
    """
    limit = one["settings"]["max_clicks"]
    figure, axes = _axes("share of the picture", "clicks needed", size=(6.4, 3.6))
    shares = np.array([item["share"] for item in one["objects"]])
    needed = [_needed(item["ious"], quality, limit) for item in one["objects"]]
    jitter = np.random.default_rng(0).uniform(-0.25, 0.25, len(needed))
    axes.scatter(shares, needed + jitter, s=14, alpha=0.5, color=COLORS[0], lw=0)
    middles = [_middle(shares, size) for size in one["by_size"]]
    means = [size["noc"][quality] for size in one["by_size"]]
    label = f"mean of a size (never counts {limit})"
    axes.plot(middles, means, "D-", color=COLORS[1], ms=5, label=label)
    axes.set_xscale("log")
    edges = [edge for edge in SIZES if edge >= shares.min() / 4 and edge > 0]
    axes.set_xticks(edges, [f"{100 * edge:g} %" for edge in edges])
    axes.grid(axis="x", color="#eeeeee")
    axes.minorticks_off()
    ticks = [*_ticks(limit), limit + 2]
    axes.set_yticks(ticks, [*map(str, ticks[:-1]), "never"])
    axes.set(ylim=(0, limit + 3), title=f"{one['dataset']}: clicks to IoU {quality} %")
    axes.legend(frameon=False, loc="lower left")
    return figure


def _middle(shares: np.ndarray, size: dict) -> float:
    """The middle of the shares of one size, on a logarithmic axis."""
    here = shares[(shares >= size["least"]) & (shares <= size["most"])]
    return float(np.exp(np.log(here).mean()))


def _axes(x_label: str, y_label: str, *, size: tuple[float, float]) -> tuple:
    """A figure with one pair of plain axes; it belongs to no window."""
    figure = Figure(size, dpi=120, layout="constrained")
    axes: Axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set(xlabel=x_label, ylabel=y_label)
    return figure, axes


def _needed(ious: Sequence[float], quality: str, limit: int) -> int:
    """Clicks needed; two more than the limit if it never was."""
    wanted = {"target_iou": int(quality) / 100, "max_clicks": limit}
    if metrics.is_failure(ious, **wanted):
        return limit + 2
    return metrics.clicks_needed(ious, **wanted)


def _ticks(limit: int) -> list[int]:
    """1 and the multiples of five up to the limit; all where they are few."""
    if limit <= 10:
        return list(range(1, limit + 1))
    return [1, *range(5, limit + 1, 5)]
