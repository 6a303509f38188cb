"""The notebooks of `colab/`, with constants that suit a test."""

from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
PLACES = sorted((ROOT / "colab").glob("*.ipynb"))


def read_story(name: str, **constants: object) -> nbformat.NotebookNode:
    """Reads a notebook; of each constant its one line `NAME = ...` says another value."""
    story = nbformat.read(ROOT / "colab" / f"{name}.ipynb", as_version=4)
    for constant, value in constants.items():
        start, found = f"{constant} = ", 0
        for cell in story.cells:
            lines = cell.source.split("\n")
            found += sum(line.startswith(start) for line in lines)
            lines = [
                f"{start}{value!r}" if line.startswith(start) else line
                for line in lines
            ]
            cell.source = "\n".join(lines)
        assert found == 1, f"{name} has {found} lines {start}..."
    return story
