"""Summaries of evaluations -> tables for a terminal, for Markdown and as CSV."""

import csv
import io
from collections.abc import Sequence

from mst_jax.evaluation import metrics, published_results

SHOWN_CLICKS = (1, 2, 3, 5, 10, 20)
"""The mIoU@k that are shown; the summary holds all of them."""


def to_markdown(summaries: Sequence[dict]) -> str:
    """All tables, each with aligned columns and a title.

    Clicks and failures, spread, mean IoU and time, sizes, users where there are several,
    and what others published.

    Args:
        summaries: what `summary.summarise` returns, at least one.

    Returns:
        Markdown without a newline at the end. A mIoU@k that is not known is left blank.
    """
    if not summaries:
        raise ValueError("a table needs at least one summary, got none")
    parts = [_clicks(summaries), _spread(summaries), _overlap(summaries)]
    parts += [_sizes(one) for one in summaries]
    parts += [_users(one) for one in summaries if len(one["users"]) > 1]
    rivals = [
        _rivals(one) for one in summaries if published_results.published_rows(_set(one))
    ]
    if rivals:
        parts += [*rivals, _sources(summaries)]
    return "\n\n".join(parts)


def to_csv(summaries: Sequence[dict]) -> str:
    """One row an object and user: what it took, and the IoU after each click."""
    most = max(one["settings"]["max_clicks"] for one in summaries)
    qualities = list(summaries[0]["noc"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["data_set", "id", "seed", "share", "seconds", "boundary_iou"]
        + [f"clicks_to_{quality}" for quality in qualities]
        + [f"iou_{count}" for count in range(1, most + 1)]
    )
    for one in summaries:
        limit = one["settings"]["max_clicks"]
        for record in one["objects"]:
            needed = [
                metrics.clicks_needed(
                    record["ious"], target_iou=int(quality) / 100, max_clicks=limit
                )
                for quality in qualities
            ]
            keys = ("id", "seed", "share", "seconds", "boundary_iou")
            values = [record[key] for key in keys]
            writer.writerow([one["dataset"], *values, *needed, *record["ious"]])
    return text.getvalue()


def _clicks(summaries: Sequence[dict]) -> str:
    qualities = list(summaries[0]["noc"])
    head = ["clicks needed", "objects"]
    head += [f"{name}@{quality}" for name in ("NoC", "NoF") for quality in qualities]
    return _table(
        head,
        [
            [one["dataset"], str(one["num_objects"])]
            + [f"{one['noc'][quality]:.2f}" for quality in qualities]
            + [str(one["nof"][quality]) for quality in qualities]
            for one in summaries
        ],
    )


def _spread(summaries: Sequence[dict]) -> str:
    """Standard deviation over the objects, and where the mean lies with 95 %."""
    qualities = list(summaries[0]["noc"])
    head = ["deviation, 95 % interval", *(f"NoC@{quality}" for quality in qualities)]
    rows = []
    for one in summaries:
        cells = [
            f"± {one['noc_std'][q]:.2f}, {low:.2f} to {high:.2f}"
            for q, (low, high) in one["noc_interval"].items()
        ]
        rows.append([one["dataset"], *cells])
    return _table(head, rows)


def _overlap(summaries: Sequence[dict]) -> str:
    head = ["overlap, %", *(f"mIoU@{count}" for count in SHOWN_CLICKS)]
    return _table(
        [*head, "border", "s/click", "s"],
        [
            [one["dataset"]]
            + [_percent(one["miou"], count) for count in SHOWN_CLICKS]
            + [f"{100 * one['boundary_iou']:.1f}"]
            + [f"{one['spc']:.3f}", f"{one['seconds']:.0f}"]
            for one in summaries
        ],
    )


def _sizes(one: dict) -> str:
    qualities = list(one["noc"])
    head = [f"{one['dataset']}: share of the picture", "sessions"]
    head += [f"NoC@{quality}" for quality in qualities]
    return _table(
        [*head, *(f"NoF@{quality}" for quality in qualities)],
        [
            [f"{100 * size['least']:g} to {100 * size['most']:g} %"]
            + [str(size["num_sessions"])]
            + [f"{size['noc'][q]:.2f} ± {size['noc_std'][q]:.2f}" for q in qualities]
            + [str(size["nof"][q]) for q in qualities]
            for size in one["by_size"]
        ],
    )


def _users(one: dict) -> str:
    qualities = list(one["noc"])
    users = [[user["noc"][q] for q in qualities] for user in one["users"]]
    columns = list(zip(*users, strict=True))
    rows = [
        [f"user {user['seed']}", *(f"{value:.2f}" for value in values)]
        for user, values in zip(one["users"], users, strict=True)
    ]
    rows.append(["mean", *(f"{sum(c) / len(c):.2f}" for c in columns)])
    rows.append(["highest - lowest", *(f"{max(c) - min(c):.2f}" for c in columns)])
    return _table([f"{one['dataset']}: users", *(f"NoC@{q}" for q in qualities)], rows)


def _rivals(one: dict) -> str:
    """The numbers of others, then one's own."""
    rows = [
        [row["method"], row["trained_on"], *_published(row["noc"]), "quoted"]
        for row in published_results.published_rows(_set(one))
    ]
    mine = str(one["settings"].get("checkpoint", "this model"))
    rows.append([mine, "", *_published(one["noc"]), "measured here"])
    head = [f"{one['dataset']}, beside others", "trained on"]
    return _table(
        [*head, *(f"NoC@{q}" for q in published_results.QUALITIES), "whose"], rows
    )


def _published(noc: dict[str, float]) -> list[str]:
    return [f"{noc[q]:.2f}" if q in noc else "" for q in published_results.QUALITIES]


def _sources(summaries: Sequence[dict]) -> str:
    rows = [
        row for one in summaries for row in published_results.published_rows(_set(one))
    ]
    found = published_results.sources([row["source"] for row in rows])
    return "Quoted: " + ".\n".join(f"{name}: {found[name]}" for name in found) + "."


def _set(one: dict) -> str:
    """The set's name as `published.json` has it."""
    return one["dataset"].rpartition("/")[2]


def _percent(mean_ious: Sequence[float], count: int) -> str:
    """The mean IoU after `count` clicks in percent; blank if not so many were made."""
    return f"{100 * mean_ious[count - 1]:.1f}" if count <= len(mean_ious) else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; the first column is aligned left, the others right."""
    widths = [max(2, *map(len, column)) for column in zip(head, *rows, strict=True)]
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
