r"""Measure how readable the code of the library is, as one Markdown table.

python tools/code_measures.py                      # this tree
python tools/code_measures.py --root ../other_tree # another checkout

Everything but the type errors needs only the standard library.
"""

import argparse
import ast
import builtins
import collections
import graphlib
import io
import json
import keyword
import re
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

# Conventional names that every reader knows; they say nothing about naming.
IGNORED_NAMES = {
    *keyword.kwlist,
    *dir(builtins),
    "self",
    "cls",
    "np",
    "jnp",
    "jax",
    "nn",
}
WORD_BOUNDARY = re.compile(r"_|(?<=[a-z])(?=[A-Z])")
DUPLICATE_LINES = 6


def main() -> None:
    """Print the table of measures of a tree."""
    parser = argparse.ArgumentParser(
        description="Measure how readable the code of the library is."
    )
    default_root = Path(__file__).resolve().parents[1]
    parser.add_argument("--root", type=Path, default=default_root, help="a checkout")
    root = parser.parse_args().root.resolve()
    sources = {
        path: path.read_text() for path in sorted((root / "mst_jax").rglob("*.py"))
    }
    num_lines = [len(source.splitlines()) for source in sources.values()]
    longest_body, longest_name = max(map(longest_function, sources.values()))
    rows = {
        "files": len(sources),
        "lines of a file, median": statistics.median(num_lines),
        "lines of a file, maximum": max(num_lines),
        "longest function body, lines": f"{longest_body} (`{longest_name}`)",
        "words per identifier": f"{words_per_identifier(sources.values()):.2f}",
        "comment lines per 100 code lines": f"{comment_rate(sources.values()):.1f}",
        "public definitions without docstring": missing_docstrings(sources.values()),
        "type errors (pyright, basic)": type_errors(root),
        "import cycles": import_cycles(root, sources),
        f"duplicated blocks of {DUPLICATE_LINES} lines": duplicated_blocks(sources),
    }
    print("| measure | value |\n|---|--:|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a module defines: definitions, arguments, variables."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = node.args
            yield node.name
            for argument in (
                *arguments.posonlyargs,
                *arguments.args,
                *arguments.kwonlyargs,
            ):
                yield argument.arg
        elif isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def words_per_identifier(sources: Iterable[str]) -> float:
    """Return the mean number of words of the distinct identifiers."""
    distinct = {name for source in sources for name in identifiers(ast.parse(source))}
    names = [name.strip("_") for name in distinct - IGNORED_NAMES if name.strip("_")]
    return statistics.mean(
        len([word for word in WORD_BOUNDARY.split(name) if word]) for name in names
    )


Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented_nodes(tree: ast.AST) -> Iterator[Documented]:
    """Yield modules, classes and functions."""
    for node in ast.walk(tree):
        if isinstance(node, Documented):
            yield node


def comment_rate(sources: Iterable[str]) -> float:
    """Return the number of comment lines per 100 lines of code without docstrings."""
    num_comments, num_code = 0, 0
    for source in sources:
        code_lines = set()
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                num_comments += 1
            elif token.string.strip() and token.type != tokenize.ENDMARKER:
                code_lines |= set(range(token.start[0], token.end[0] + 1))
        for node in documented_nodes(ast.parse(source)):
            if ast.get_docstring(node):
                docstring = node.body[0]
                code_lines -= line_range(docstring, docstring)
        num_code += len(code_lines)
    return 100 * num_comments / num_code


def line_range(first: ast.stmt, last: ast.stmt) -> set[int]:
    """Return the numbers of the lines from the start of one node to the end of another."""
    return set(range(first.lineno, (last.end_lineno or last.lineno) + 1))


def longest_function(source: str) -> tuple[int, str]:
    """Return the lines and the name of the longest function body of a module."""
    found = [(0, "")]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body:
                found.append((len(line_range(body[0], node)), node.name))
    return max(found)


def missing_docstrings(sources: Iterable[str]) -> int:
    """Count public modules, classes and functions without docstring."""
    return sum(
        not getattr(node, "name", "").startswith("_") and not ast.get_docstring(node)
        for source in sources
        if source.strip()
        for top in [ast.parse(source)]
        for node in (top, *public_definitions(top))
    )


def public_definitions(parent: ast.Module | ast.ClassDef) -> Iterator[Documented]:
    """Yield the functions, classes and methods below a node that are not nested."""
    for node in parent.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def type_errors(root: Path) -> int | str:
    """Count the errors that pyright reports for the library, configs and benchmarks."""
    folders = ["mst_jax", "configs", "benchmarks"]
    # The packages of this environment, also for a checkout without one of its own.
    command = [str(Path(sys.executable).with_name("pyright")), "--outputjson"]
    command += ["--pythonpath", sys.executable, *folders]
    try:
        report = subprocess.run(command, cwd=root, capture_output=True, check=False)
        return json.loads(report.stdout)["summary"]["errorCount"]
    except (OSError, ValueError):
        return "pyright is not installed"


def import_cycles(root: Path, sources: dict[Path, str]) -> int:
    """Return 1 if modules of the library import each other in a cycle, else 0."""
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts) for path in sources
    }
    graph = {}
    for path, source in sources.items():
        imported = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported |= {f"{node.module}.{alias.name}" for alias in node.names}
                imported.add(node.module)
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        graph[name] = imported & modules
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError:
        return 1
    return 0


def duplicated_blocks(sources: dict[Path, str]) -> int:
    """Count pairs of files that share a run of `DUPLICATE_LINES` equal lines of code."""
    places = collections.defaultdict(set)
    for path, source in sources.items():
        documentation: set[int] = set()
        for node in documented_nodes(ast.parse(source)):
            if ast.get_docstring(node):
                documentation |= line_range(node.body[0], node.body[0])
        code = [
            line.strip()
            for number, line in enumerate(source.splitlines(), 1)
            if number not in documentation
            and len(line.strip()) > 2
            and not line.strip().startswith(("#", "from ", "import "))
        ]
        for start in range(len(code) - DUPLICATE_LINES + 1):
            places[tuple(code[start : start + DUPLICATE_LINES])].add(path)
    pairs = {
        (first, second)
        for paths in places.values()
        for first in paths
        for second in paths
        if first < second
    }
    return len(pairs)


if __name__ == "__main__":
    main()
