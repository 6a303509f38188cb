"""The page about datasets names every dataset and every variant."""

import re
from pathlib import Path

from mst_jax.data.builders import BUILDERS

DATA_PAGE = (Path(__file__).parents[1] / "docs" / "data.md").read_text()


def test_every_data_set_is_in_the_table():
    table = DATA_PAGE.split("## Supported datasets")[1].split("## What is an object")[0]
    table_rows = [line for line in table.splitlines() if line.startswith("| `")]
    listed_names = {
        name
        for table_row in table_rows
        for name in re.findall(r"`([a-z0-9_]+)`", table_row.split("|")[1])
    }
    assert listed_names >= BUILDERS.keys()


def test_every_variant_is_named():
    for builder_name, builder_class in BUILDERS.items():
        for variant in getattr(builder_class, "VARIANT_NAMES", ()):
            full_name = f"`{builder_name}/{variant}`"
            assert full_name in DATA_PAGE or f"`/{variant}`" in DATA_PAGE
