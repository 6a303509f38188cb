"""Look up published NoC values and put a summary beside them.

The values and their sources stand in `published_results.json`.
"""

import functools
import json
from collections.abc import Collection, Sequence
from importlib import resources
from typing import Any

from mst_jax.evaluation.summary import Summary

# Target IoUs in percent that are published most often.
PUBLISHED_IOU_PERCENTS = ("85", "90")


def published_results(dataset: str) -> list[dict[str, Any]]:
    """Return the published results on a dataset, best NoC@90 last.

    Args:
        dataset: Name of the dataset, such as "grabcut".

    Returns:
        For each method: `method`, `trained_on`, `source` (a key of `source_citations`)
        and `noc` by the target IoU in percent, "85", "90" or both. Empty if nothing is
        published.
    """
    published_rows = [
        published_row | {"noc": published_row["noc"][dataset]}
        for published_row in _read_file()["rows"]
        if dataset in published_row["noc"]
    ]
    # Methods without NoC@90 come last.
    return sorted(
        published_rows, key=lambda published_row: -published_row["noc"].get("90", 0.0)
    )


def source_citations(names: Collection[str]) -> dict[str, str]:
    """Return where the results of these sources were published, in the file's order.

    Args:
        names: Values of `source` of published results.
    """
    sources = _read_file()["sources"]
    return {
        name: where_published
        for name, where_published in sources.items()
        if name in names
    }


def comparison_rows(summary: Summary) -> list[list[str]]:
    """Return table rows with the published results and, last, those of a summary.

    Args:
        summary: Summary of an evaluation.

    Returns:
        Rows of method, training set, NoC for each of `PUBLISHED_IOU_PERCENTS` (empty if
        unknown) and origin. Empty if nothing is published for the dataset.
    """
    published_rows = published_results(_published_name(summary))
    if not published_rows:
        return []
    comparison_cells = [
        [
            published_row["method"],
            published_row["trained_on"],
            *_noc_cells(published_row["noc"]),
            "published",
        ]
        for published_row in published_rows
    ]
    # A summary from Python may have no checkpoint.
    checkpoint_name = str(summary["settings"].get("checkpoint", "this model"))
    comparison_cells.append(
        [checkpoint_name, "", *_noc_cells(summary["noc"]), "measured"]
    )
    return comparison_cells


def cite_sources(summaries: Sequence[Summary]) -> str:
    """Return one paragraph that names the sources of all published results shown.

    Args:
        summaries: Summaries that `comparison_rows` was called with.
    """
    source_names = [
        published_row["source"]
        for summary in summaries
        for published_row in published_results(_published_name(summary))
    ]
    found_citations = source_citations(source_names)
    citation_lines = [
        f"{name}: {where_published}"
        for name, where_published in found_citations.items()
    ]
    return "Published: " + ".\n".join(citation_lines) + "."


def _published_name(summary: Summary) -> str:
    """Return the dataset's name in the file: without the folder of the builder."""
    return summary["dataset"].rpartition("/")[2]


def _noc_cells(noc: dict[str, float]) -> list[str]:
    """Format the NoC for each of `PUBLISHED_IOU_PERCENTS`; empty if unknown."""
    return [
        f"{noc[iou_percent]:.2f}" if iou_percent in noc else ""
        for iou_percent in PUBLISHED_IOU_PERCENTS
    ]


@functools.cache
def _read_file() -> dict[str, Any]:
    """Read the file once for each process."""
    package_folder = resources.files("mst_jax.evaluation")
    file_text = package_folder.joinpath("published_results.json").read_text(
        encoding="utf-8"
    )
    return json.loads(file_text)
