"""Summaries of evaluations -> a table that reads well in a terminal and in markdown."""

from collections.abc import Sequence

SHOWN_CLICKS = (1, 2, 3, 5, 10, 20)
"""The mIoU@k that are shown; the summary holds all of them."""


def to_markdown(summaries: Sequence[dict]) -> str:
    """Two tables, one row a data set: clicks and failures; mean IoU and time.

    Args:
        summaries: what `summary.summarise` returns, at least one.

    Returns:
        Markdown with aligned columns, without a newline at the end. A mIoU@k beyond the
        limit of clicks of a summary is left blank.
    """
    if not summaries:
        raise ValueError("a table needs at least one summary, got none")
    qualities = list(summaries[0]["noc"])
    clicks = _table(
        ["data set", "objects"]
        + [f"NoC@{quality}" for quality in qualities]
        + [f"NoF@{quality}" for quality in qualities],
        [
            [one["dataset"], str(one["num_objects"])]
            + [f"{one['noc'][quality]:.2f}" for quality in qualities]
            + [str(one["nof"][quality]) for quality in qualities]
            for one in summaries
        ],
    )
    overlap = _table(
        ["data set", *(f"mIoU@{count}" for count in SHOWN_CLICKS), "s/click"],
        [
            [one["dataset"]]
            + [_percent(one["miou"], count) for count in SHOWN_CLICKS]
            + [f"{one['spc']:.3f}"]
            for one in summaries
        ],
    )
    return f"{clicks}\n\n{overlap}"


def _percent(mean_ious: Sequence[float], count: int) -> str:
    """The mean IoU after `count` clicks in percent; blank if not so many were made."""
    return f"{100 * mean_ious[count - 1]:.1f}" if count <= len(mean_ious) else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; the first column is aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| "
        + " | ".join(
            [row[0].ljust(widths[0])]
            + [
                cell.rjust(width)
                for cell, width in zip(row[1:], widths[1:], strict=True)
            ]
        )
        + " |"
        for row in (head, rule, *rows)
    )
