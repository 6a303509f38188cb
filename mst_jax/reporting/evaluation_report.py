"""Assemble the report of an evaluation: one HTML page of tables, plots and sessions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mst_jax.atomic_io import atomic_write
from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation.evaluation_task import EvaluationTask
from mst_jax.evaluation.protocol import EvaluationProtocol
from mst_jax.evaluation.replay import replay_session
from mst_jax.evaluation.result_tables import to_markdown
from mst_jax.evaluation.summary import Summary
from mst_jax.interaction.zoom_predict import ClickModelFn
from mst_jax.reporting import html_page, plots
from mst_jax.reporting.session_sheet import (
    SHOWN_CLICK_COUNTS,
    SessionFigure,
    draw_contact_sheet,
    select_worst_and_best,
)

# Maximum number of sessions on a contact sheet.
MAX_SESSIONS = 6

# Title of a contact sheet and its sessions.
TitledSessions = tuple[str, list[SessionFigure]]


def write_report(
    path: Path,
    model: ClickModelFn,
    tasks: Sequence[EvaluationTask],
    summaries: Sequence[Summary],
    earlier_summaries: Mapping[str, Sequence[Summary]],
) -> None:
    """Write the report of an evaluation: tables, plots, the worst and best sessions.

    Args:
        path: HTML file to write; a missing folder is created.
        model: Model of the evaluation.
        tasks: Task of each dataset.
        summaries: Summary of each dataset, in the order of `tasks`.
        earlier_summaries: Name -> summaries of an earlier evaluation, for the plot.
    """
    # 1. Masks are not logged, so the sessions to draw run again.
    sessions_by_dataset: dict[str, list[TitledSessions]] = {}
    for task, summary in zip(tasks, summaries, strict=True):
        sessions_by_dataset[task.dataset] = replay_sessions(
            model,
            lambda task=task: task.iterate_targets(task.open_dataset()),
            summary,
            protocol=task.protocol,
        )
    # 2. Two evaluations of one dataset need two names in the legend.
    named_summaries = {
        f"{name}: {summary['dataset']}": summary
        for name, file_summaries in earlier_summaries.items()
        for summary in file_summaries
    }
    page = render_report(
        summaries, sessions_by_dataset, earlier_summaries=named_summaries
    )
    atomic_write(path, page.encode())


def render_report(
    summaries: Sequence[Summary],
    sessions_by_dataset: Mapping[str, Sequence[TitledSessions]],
    *,
    earlier_summaries: Mapping[str, Summary] | None = None,
) -> str:
    """Render one HTML page of tables, plots and contact sheets.

    Args:
        summaries: Summaries of the evaluated datasets, at least one.
        sessions_by_dataset: Dataset -> titles and sessions, see `replay_sessions`.
        earlier_summaries: Name -> summary of another evaluation of one of these
            datasets, drawn for comparison; None = no comparison.

    Returns:
        The page, which needs no other file.
    """
    # 1. Tables and curves of all datasets.
    html_fragments = [
        html_page.render_tables(to_markdown(summaries)),
        html_page.render_heading("IoU by clicks"),
    ]
    curve_summaries = {summary["dataset"]: summary for summary in summaries}
    curve_summaries |= dict(earlier_summaries or {})
    html_fragments.append(
        html_page.render_figure(plots.plot_iou_curves(curve_summaries))
    )
    # 2. Plots and sessions of each dataset.
    for summary in summaries:
        titled_sessions = sessions_by_dataset.get(summary["dataset"], ())
        html_fragments += _render_dataset(summary, titled_sessions)
    # 3. What the results depend on.
    html_fragments.append(html_page.render_heading("Settings"))
    html_fragments += [
        html_page.render_paragraph(f"{summary['dataset']}: {summary['settings']}")
        for summary in summaries
    ]
    dataset_names = ", ".join(summary["dataset"] for summary in summaries)
    return html_page.render_page(f"Clicks needed: {dataset_names}", html_fragments)


def _render_dataset(
    summary: Summary, titled_sessions: Sequence[TitledSessions]
) -> list[str]:
    """Render the plots and the contact sheets of one dataset."""
    # A summary of sessions that stopped early may lack the usual target IoU.
    iou_percent = "85" if "85" in summary["noc"] else min(summary["noc"])
    size_plot = plots.plot_clicks_by_size(summary, iou_percent)
    html_fragments = [
        html_page.render_heading(summary["dataset"]),
        html_page.render_figure(plots.plot_click_histograms(summary)),
        html_page.render_figure(size_plot),
    ]
    for title, session_figures in titled_sessions:
        # Photographs are several times smaller as JPEG than as PNG.
        contact_sheet = draw_contact_sheet(session_figures)
        html_fragments.append(
            html_page.render_figure(contact_sheet, title, file_format="jpeg")
        )
    return html_fragments


def replay_sessions(
    model: ClickModelFn,
    open_targets: Callable[[], Iterable[EvaluationTarget]],
    summary: Summary,
    *,
    protocol: EvaluationProtocol,
) -> list[TitledSessions]:
    """Recompute the masks of the worst and the best sessions of a dataset.

    Args:
        model: Model of the evaluation.
        open_targets: Function that reads the objects again.
        summary: Summary of the evaluation.
        protocol: Protocol of the evaluation.

    Returns:
        Titles with the sessions, for `render_report`.
    """
    worst_records, best_records = select_worst_and_best(
        summary["objects"], max_sessions=MAX_SESSIONS
    )
    titled_records = [
        ("The worst sessions, worst first", worst_records),
        ("The best sessions, best first", best_records),
    ]
    # One pass over the dataset; images of other objects are not kept in memory.
    shown_ids = {
        session_record["id"] for session_record in [*worst_records, *best_records]
    }
    shown_targets = {
        target.id: target for target in open_targets() if target.id in shown_ids
    }

    def replay_record(session_record: dict[str, Any]) -> SessionFigure:
        target, clicks = (
            shown_targets[session_record["id"]],
            np.array(session_record["clicks"]),
        )
        click_counts = (*SHOWN_CLICK_COUNTS, len(clicks))
        session_masks = replay_session(
            model, target, clicks, click_counts, protocol=protocol
        )
        return SessionFigure(target, clicks, session_record["ious"], session_masks)

    return [
        (title, [replay_record(session_record) for session_record in sheet_records])
        for title, sheet_records in titled_records
        if sheet_records
    ]
