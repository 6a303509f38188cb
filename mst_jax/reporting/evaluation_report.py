"""Everything about an evaluation on one page."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation.replay import replay
from mst_jax.evaluation.result_tables import to_markdown
from mst_jax.interaction.zoom_predict import Model
from mst_jax.reporting import html_page, plots
from mst_jax.reporting.session_sheet import SHOWN, Story, choose_sessions, contact_sheet

NUM_SESSIONS = 6
"""Sessions on a sheet."""


def assemble(
    summaries: Sequence[dict],
    sheets: Mapping[str, Sequence[tuple[str, Sequence[Story]]]],
    *,
    compared: Mapping[str, dict] | None = None,
) -> str:
    """One HTML page of tables, plots and sheets.

    Args:
        summaries: of the sets that were evaluated, at least one.
        sheets: set -> titles and sessions, see `tell_sessions`.
        compared: name -> summary of another run on one of these sets, drawn beside.

    Returns:
        The page, which needs no other file.
    """
    parts = [
        html_page.tables(to_markdown(summaries)),
        html_page.heading("Overlap by clicks"),
    ]
    runs = {one["dataset"]: one for one in summaries} | dict(compared or {})
    parts.append(html_page.picture(plots.iou_curves(runs)))
    for one in summaries:
        parts.append(html_page.heading(one["dataset"]))
        parts.append(html_page.picture(plots.click_histograms(one)))
        parts.append(html_page.picture(plots.clicks_by_size(one, _shown(one))))
        for title, stories in sheets.get(one["dataset"], ()):
            parts.append(html_page.picture(contact_sheet(stories), title, kind="jpeg"))
    parts.append(html_page.heading("Settings"))
    parts += [
        html_page.paragraph(f"{s['dataset']}: {s['settings']}") for s in summaries
    ]
    names = ", ".join(one["dataset"] for one in summaries)
    return html_page.make_page(f"Clicks needed: {names}", parts)


def tell_sessions(
    model: Model,
    open_targets: Callable[[], Iterable[EvaluationTarget]],
    summary: dict,
    **settings: int | float | bool | str | None,
) -> list[tuple[str, list[Story]]]:
    """The worst and the best sessions of a set, with the masks they had.

    Args:
        model: as in the evaluation.
        open_targets: reads the objects anew; those not wanted are passed over.
        summary: of the evaluation.
        settings: of `Protocol`, as in the evaluation.

    Returns:
        Titles with the sessions, for `assemble`.
    """
    worst, best = choose_sessions(summary["objects"], num=NUM_SESSIONS)
    chosen = [("The worst sessions, worst first", worst)]
    chosen.append(("The best sessions, best first", best))
    wanted = {record["id"] for _, records in chosen for record in records}
    targets = {one.id: one for one in open_targets() if one.id in wanted}

    def tell(record: dict) -> Story:
        target, clicks = targets[record["id"]], np.array(record["clicks"])
        shown = (*SHOWN, len(clicks))
        masks = replay(model, target, clicks, shown, **settings)
        return Story(target, clicks, record["ious"], masks)

    return [(title, list(map(tell, records))) for title, records in chosen if records]


def _shown(one: dict) -> str:
    """The wanted IoU of the plot by size: 85 % where it is known."""
    return "85" if "85" in one["noc"] else min(one["noc"])
