"""The notebooks of `colab/`, with constants that suit a test."""

import os
import sys
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parents[2]
# The Python of the kernels: that of the tests, or one with the packages of Colab, which
# `make test-colab` sets.
KERNEL_PYTHON = os.environ.get("COLAB_PYTHON", sys.executable)
NOTEBOOK_PATHS = sorted((ROOT / "colab").glob("*.ipynb"))


def read_notebook(name: str, **constants: Any) -> nbformat.NotebookNode:
    """Read a notebook and replace the one line `NAME = ...` of each constant."""
    notebook = nbformat.read(ROOT / "colab" / f"{name}.ipynb", as_version=4)
    for constant, value in constants.items():
        prefix, num_found = f"{constant} = ", 0
        for cell in notebook.cells:
            lines = cell.source.split("\n")
            num_found += sum(line.startswith(prefix) for line in lines)
            cell.source = "\n".join(
                f"{prefix}{value!r}" if line.startswith(prefix) else line
                for line in lines
            )
        assert num_found == 1, f"{name} has {num_found} lines {prefix}..."
    return notebook
