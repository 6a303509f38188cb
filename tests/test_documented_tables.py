"""The tables of README and docs are complete: header, separator, rows of one length."""

import re

import pytest

from tests.helpers.hidden_modules import ROOT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "launch/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)
SEPARATOR = re.compile(r"\|(\s*:?-+:?\s*\|)+")


def read_tables(text):
    """Return the tables outside code blocks: lists of (line number, number of cells)."""
    tables, is_code, last_line = [], False, ""
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        is_code ^= line.startswith("```")
        if not is_code and line.startswith("|"):
            if not last_line.startswith("|"):
                # A table directly below a paragraph is part of the paragraph.
                assert not last_line, f"line {number}: no empty line before the table"
                tables.append([])
            cells = re.sub(r"`[^`]*`|\\\|", "", line).count("|") - 1
            tables[-1].append((number, cells, bool(SEPARATOR.fullmatch(line))))
        last_line = line
    return tables


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_tables_have_a_header_and_rows_of_one_length(path):
    for table in read_tables(path.read_text()):
        number, num_cells, _ = table[0]
        is_separator = [row[2] for row in table]
        assert is_separator[:2] == [False, True], f"line {number}: no header"
        assert len(table) > 2 and not any(is_separator[2:]), f"line {number}: no rows"
        assert {row[1] for row in table} == {num_cells}, f"line {number}: other lengths"
