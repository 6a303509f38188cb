"""Look up published NoC values and put a summary beside them.

The values and their sources stand in `published_results.json`.
"""

import dataclasses
import functools
import json
from collections.abc import Collection, Sequence
from importlib import resources
from typing import Any, NamedTuple

from mst_jax.evaluation.protocol import UserOptions
from mst_jax.evaluation.summary import Summary

# Target IoUs in percent that are published most often.
PUBLISHED_IOU_PERCENTS = ("85", "90")

# Maximum number of clicks of all published results.
PUBLISHED_MAX_CLICKS = 20


class PublishedSet(NamedTuple):
    """The objects that published results are measured on.

    Attributes:
        split: Split of the prepared dataset.
        num_objects: Number of objects.
    """

    split: str
    num_objects: int


# By the name of the prepared dataset. The numbers are those of the papers.
PUBLISHED_SETS = {
    "grabcut": PublishedSet("test", 50),
    "berkeley": PublishedSet("test", 100),
    "sbd": PublishedSet("val", 6671),
    "davis": PublishedSet("test", 345),
    "pascal_voc": PublishedSet("val", 3427),
    "coco_mval": PublishedSet("test", 800),
}

# Objects without a pixel are counted in some papers and left out in others.
MIN_OBJECT_FRACTION = 0.995


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


def is_comparable(summary: Summary) -> bool:
    """Return whether a summary was measured as published results are.

    It was if it has all objects of the published set, 20 clicks, and one user who
    clicks at the best pixel. Sessions that stop at a target IoU have the same NoC.

    Args:
        summary: Summary of an evaluation.
    """
    published_set = PUBLISHED_SETS.get(summary["dataset"])
    settings = summary["settings"]
    if published_set is None or settings.get("split") != published_set.split:
        return False
    user_options = settings.get("user", dataclasses.asdict(UserOptions()))
    return (
        settings.get("limit") is None
        and not settings.get("min_area_fraction")
        and summary["num_objects"] >= MIN_OBJECT_FRACTION * published_set.num_objects
        and settings.get("max_clicks") == PUBLISHED_MAX_CLICKS
        and settings.get("num_users") == 1
        and user_options == dataclasses.asdict(UserOptions())
    )


def comparison_rows(summary: Summary) -> list[list[str]]:
    """Return table rows with the published results and, last, those of a summary.

    Args:
        summary: Summary of an evaluation.

    Returns:
        Rows of method, training set, NoC for each of `PUBLISHED_IOU_PERCENTS` (empty if
        unknown) and origin. Empty unless the summary `is_comparable`.
    """
    if not is_comparable(summary):
        return []
    comparison_cells = [
        [
            published_row["method"],
            published_row["trained_on"],
            *_noc_cells(published_row["noc"]),
            "published",
        ]
        for published_row in published_results(summary["dataset"])
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
        if is_comparable(summary)
        for published_row in published_results(summary["dataset"])
    ]
    found_citations = source_citations(source_names)
    citation_lines = [
        f"{name}: {where_published}"
        for name, where_published in found_citations.items()
    ]
    return "Published: " + ".\n".join(citation_lines) + "."


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
