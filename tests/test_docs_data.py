"""The page about data names every set, and its example is true."""

import re
from pathlib import Path

from mst_jax.data.builders import BUILDERS

PAGE = (Path(__file__).parents[1] / "docs" / "data.md").read_text()


def test_every_set_has_a_row():
    table = PAGE.split("## The sets")[1].split("## What is an object")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    named = {
        name
        for row in rows
        for name in re.findall(r"`([a-z0-9_]+)`", row.split("|")[1])
    }
    assert named >= BUILDERS.keys()


def test_every_variant_is_named():
    for name, builder in BUILDERS.items():
        variants = getattr(builder, "VARIANTS", ())
        for variant in variants if isinstance(variants, tuple) else ():
            assert f"`{name}/{variant}`" in PAGE or f"`/{variant}`" in PAGE
