"""Numbers that others published, to stand beside one's own; `published.json` has them."""

import functools
import json
from collections.abc import Sequence
from importlib import resources

QUALITIES = ("85", "90")
"""The wanted IoUs, in percent, that are published most."""


def published_rows(dataset: str) -> list[dict]:
    """What is published for a data set, best NoC@90 last; empty if nothing is.

    Returns:
        Each: `method`, `trained_on`, `source` (a key of `sources`) and `noc`, by the
        wanted IoU in percent, "85", "90" or both.
    """
    rows = [
        row | {"noc": row["noc"][dataset]}
        for row in _read()["rows"]
        if dataset in row["noc"]
    ]
    return sorted(rows, key=lambda row: -row["noc"].get("90", 0.0))


def sources(names: Sequence[str]) -> dict[str, str]:
    """Where the numbers of these sources stand, in the order of the file."""
    return {name: where for name, where in _read()["sources"].items() if name in names}


@functools.cache
def _read() -> dict:
    text = resources.files("mst_jax.evaluation").joinpath("published.json")
    return json.loads(text.read_text(encoding="utf-8"))
