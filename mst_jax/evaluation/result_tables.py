"""Format summaries of evaluations as Markdown tables and as CSV."""

import csv
import io
from collections.abc import Sequence

from mst_jax.evaluation import metrics
from mst_jax.evaluation.published_results import (
    PUBLISHED_IOU_PERCENTS,
    cite_sources,
    comparison_rows,
)
from mst_jax.evaluation.summary import Summary

# The k of the mIoU@k in the tables; the summary holds all of them.
MIOU_CLICK_COUNTS = (1, 2, 3, 5, 10, 20)
INTERVAL_CLICK_COUNTS = (1, 3, 5)


def to_markdown(summaries: Sequence[Summary]) -> str:
    """Format all tables with aligned columns.

    The tables are: NoC and NoF with confidence intervals, mean IoU and time, confidence
    intervals of the mean IoU, object sizes, users if there are several, and published
    results.

    Args:
        summaries: Results of `summary.summarize_sessions`, at least one.

    Returns:
        Markdown without a newline at the end. An unknown mIoU@k is left blank.

    Raises:
        ValueError: There is no summary.
    """
    if not summaries:
        raise ValueError("a table needs at least one summary, got none")
    # 1. Tables with a row for each dataset.
    table_texts = [
        _noc_table(summaries),
        _interval_table(summaries),
        _iou_table(summaries),
        _iou_interval_table(summaries),
    ]
    # 2. Tables for each dataset.
    table_texts += [_size_table(summary) for summary in summaries]
    table_texts += [
        _user_table(summary) for summary in summaries if len(summary["by_user"]) > 1
    ]
    # 3. Published results, where there are any, with their sources below.
    comparison_tables = [
        _comparison_table(summary) for summary in summaries if comparison_rows(summary)
    ]
    if comparison_tables:
        table_texts += [*comparison_tables, cite_sources(summaries)]
    return "\n\n".join(table_texts)


def to_csv(summaries: Sequence[Summary]) -> str:
    """Format one row for each object and user: clicks needed, and IoU after each click.

    Args:
        summaries: Results of `summary.summarize_sessions`, at least one.
    """
    max_columns = max(summary["settings"]["max_clicks"] for summary in summaries)
    iou_percents = list(summaries[0]["noc"])
    csv_text = io.StringIO()
    csv_writer = csv.writer(csv_text, lineterminator="\n")
    record_keys = ("id", "seed", "area_fraction", "seconds", "boundary_iou")
    csv_writer.writerow(
        ["dataset", *record_keys]
        + [f"clicks_to_{iou_percent}" for iou_percent in iou_percents]
        + [f"iou_{num_clicks}" for num_clicks in range(1, max_columns + 1)]
    )
    # Rows of sessions that stopped early are shorter than the header.
    for summary in summaries:
        max_clicks = summary["settings"]["max_clicks"]
        for record in summary["objects"]:
            clicks_cells = [
                metrics.clicks_needed(
                    record["ious"],
                    target_iou=int(iou_percent) / 100,
                    max_clicks=max_clicks,
                )
                for iou_percent in iou_percents
            ]
            record_values = [record[key] for key in record_keys]
            csv_writer.writerow(
                [summary["dataset"], *record_values, *clicks_cells, *record["ious"]]
            )
    return csv_text.getvalue()


def _noc_table(summaries: Sequence[Summary]) -> str:
    """Format NoC and NoF, a row for each dataset."""
    iou_percents = list(summaries[0]["noc"])
    header_cells = ["clicks needed", "split", "objects"]
    header_cells += [f"NoC@{iou_percent}" for iou_percent in iou_percents]
    header_cells += [f"NoF@{iou_percent}" for iou_percent in iou_percents]
    table_rows = [
        [summary["dataset"], _split_cell(summary), str(summary["num_objects"])]
        + [f"{summary['noc'][iou_percent]:.2f}" for iou_percent in iou_percents]
        + [str(summary["nof"][iou_percent]) for iou_percent in iou_percents]
        for summary in summaries
    ]
    return _format_table(header_cells, table_rows)


def _split_cell(summary: Summary) -> str:
    """Name the split, and how many of its images the model was trained on."""
    settings = summary["settings"]
    # A summary from Python may have neither.
    split = settings.get("split", "")
    num_training_images = settings.get("num_training_images", 0)
    if not num_training_images:
        return split
    return f"{split} ({num_training_images} training images)"


def _interval_table(summaries: Sequence[Summary]) -> str:
    """Format the standard deviation and the 95 % confidence interval of NoC."""
    iou_percents = list(summaries[0]["noc"])
    header_cells = [
        "std, 95 % CI",
        *(f"NoC@{iou_percent}" for iou_percent in iou_percents),
    ]
    table_rows = []
    for summary in summaries:
        row_cells = [
            f"± {summary['noc_std'][iou_percent]:.2f}, {low:.2f} to {high:.2f}"
            for iou_percent, (low, high) in summary["noc_ci95"].items()
        ]
        table_rows.append([summary["dataset"], *row_cells])
    return _format_table(header_cells, table_rows)


def _iou_table(summaries: Sequence[Summary]) -> str:
    """Format mean IoU, boundary IoU and time, a row for each dataset."""
    header_cells = [
        "IoU, %",
        *(f"mIoU@{num_clicks}" for num_clicks in MIOU_CLICK_COUNTS),
    ]
    table_rows = [
        [summary["dataset"]]
        + [_miou_cell(summary["miou"], num_clicks) for num_clicks in MIOU_CLICK_COUNTS]
        + [f"{100 * summary['boundary_iou']:.1f}"]
        + [f"{summary['seconds_per_click']:.3f}", f"{summary['total_seconds']:.0f}"]
        for summary in summaries
    ]
    return _format_table([*header_cells, "boundary", "s/click", "s"], table_rows)


def _iou_interval_table(summaries: Sequence[Summary]) -> str:
    """Format the 95 % confidence intervals of mean IoU and boundary IoU."""
    header_cells = [
        "95 % CI of the IoU, %",
        *(f"mIoU@{num_clicks}" for num_clicks in INTERVAL_CLICK_COUNTS),
        "boundary",
    ]
    table_rows = []
    for summary in summaries:
        intervals = summary["miou_ci95"]
        row_cells = [
            _interval_cell(intervals[num_clicks - 1])
            if num_clicks <= len(intervals)
            else ""
            for num_clicks in INTERVAL_CLICK_COUNTS
        ]
        row_cells.append(_interval_cell(summary["boundary_iou_ci95"]))
        table_rows.append([summary["dataset"], *row_cells])
    return _format_table(header_cells, table_rows)


def _interval_cell(interval: Sequence[float]) -> str:
    """Format an interval of IoUs in percent."""
    low, high = interval
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _size_table(summary: Summary) -> str:
    """Format NoC and NoF of one dataset, a row for each size bin."""
    iou_percents = list(summary["noc"])
    # Sessions, not objects: with several users an object has several sessions.
    header_cells = [f"{summary['dataset']}: object area", "sessions"]
    header_cells += [f"NoC@{iou_percent}" for iou_percent in iou_percents]
    header_cells += [f"NoF@{iou_percent}" for iou_percent in iou_percents]
    table_rows = []
    for size_bin in summary["by_size"]:
        min_percent = 100 * size_bin["min_area_fraction"]
        max_percent = 100 * size_bin["max_area_fraction"]
        noc_cells = [
            f"{size_bin['noc'][iou_percent]:.2f} ± {size_bin['noc_std'][iou_percent]:.2f}"
            for iou_percent in iou_percents
        ]
        nof_cells = [str(size_bin["nof"][iou_percent]) for iou_percent in iou_percents]
        area_cell = f"{min_percent:g} to {max_percent:g} %"
        table_rows.append(
            [area_cell, str(size_bin["num_sessions"]), *noc_cells, *nof_cells]
        )
    return _format_table(header_cells, table_rows)


def _user_table(summary: Summary) -> str:
    """Format NoC of one dataset, a row for each user, their mean and their range."""
    iou_percents = list(summary["noc"])
    user_nocs = [
        [user["noc"][iou_percent] for iou_percent in iou_percents]
        for user in summary["by_user"]
    ]
    noc_columns = list(zip(*user_nocs, strict=True))
    table_rows = [
        [f"user {user['seed']}", *(f"{noc:.2f}" for noc in record_values)]
        for user, record_values in zip(summary["by_user"], user_nocs, strict=True)
    ]
    # Mean and range over the users, for each target IoU.
    noc_means = [sum(column) / len(column) for column in noc_columns]
    noc_ranges = [max(column) - min(column) for column in noc_columns]
    table_rows.append(["mean", *(f"{mean:.2f}" for mean in noc_means)])
    table_rows.append(["max - min", *(f"{noc_range:.2f}" for noc_range in noc_ranges)])
    header_cells = [
        f"{summary['dataset']}: users",
        *(f"NoC@{iou_percent}" for iou_percent in iou_percents),
    ]
    return _format_table(header_cells, table_rows)


def _comparison_table(summary: Summary) -> str:
    """Format the published results on one dataset, then those of the summary."""
    header_cells = [f"{summary['dataset']}: published results", "trained on"]
    header_cells += [f"NoC@{iou_percent}" for iou_percent in PUBLISHED_IOU_PERCENTS]
    return _format_table([*header_cells, "origin"], comparison_rows(summary))


def _miou_cell(mean_ious: Sequence[float], num_clicks: int) -> str:
    """Format the mean IoU after `num_clicks` clicks in percent; blank if unknown."""
    return (
        f"{100 * mean_ious[num_clicks - 1]:.1f}" if num_clicks <= len(mean_ious) else ""
    )


def _format_table(
    header_cells: Sequence[str], table_rows: Sequence[Sequence[str]]
) -> str:
    """Format a Markdown table; the first column is aligned left, the others right."""
    # A Markdown rule needs at least two characters in each column.
    column_widths = [
        max(2, *map(len, column))
        for column in zip(header_cells, *table_rows, strict=True)
    ]
    # The colon of the rule aligns a column to the right.
    header_rule = [
        "-" * column_widths[0],
        *("-" * (width - 1) + ":" for width in column_widths[1:]),
    ]
    table_lines = []
    for table_row in (header_cells, header_rule, *table_rows):
        row_cells = [table_row[0].ljust(column_widths[0])]
        row_cells += [
            cell.rjust(width)
            for cell, width in zip(table_row[1:], column_widths[1:], strict=True)
        ]
        table_lines.append("| " + " | ".join(row_cells) + " |")
    return "\n".join(table_lines)
