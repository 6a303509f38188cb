"""Tables and figures -> one HTML file that needs no other file."""

import base64
import html
import io
import string
from collections.abc import Sequence

from matplotlib.figure import Figure

_PAGE = string.Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px;
         margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; font-size: 1.25rem; }
  table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
  th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
  th:first-child, td:first-child { text-align: left; }
  th { border-bottom: 2px solid #888; }
  .scroll { overflow-x: auto; }
  figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
  figcaption, .small { color: #666; font-size: .87rem; }
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
"""
)


def make_page(title: str, parts: Sequence[str]) -> str:
    """A page of its parts, in their order; see the functions below."""
    return _PAGE.substitute(title=html.escape(title), body="\n".join(parts))


def heading(text: str) -> str:
    """A heading within the page."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    """A paragraph in small letters."""
    return f'<p class="small">{html.escape(text)}</p>'


def picture(figure: Figure, caption: str = "", *, kind: str = "png") -> str:
    """A figure as part of the page itself; `kind` jpeg for photographs, else png."""
    file = io.BytesIO()
    figure.savefig(file, format=kind)
    data = base64.b64encode(file.getvalue()).decode()
    name = html.escape(caption, quote=True)
    image = f'<img alt="{name}" src="data:image/{kind};base64,{data}">'
    return f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>"


def tables(markdown: str) -> str:
    """Markdown that consists of tables and paragraphs, see `evaluation.result_tables`."""
    parts = []
    for block in markdown.split("\n\n"):
        lines = block.splitlines()
        if not lines[0].startswith("|"):
            parts.append(paragraph(" ".join(lines)))
            continue
        head, _, *rows = [line.strip("|").split("|") for line in lines]
        body = [_row("th", head), *(_row("td", row) for row in rows)]
        parts.append(f'<div class="scroll"><table>{"".join(body)}</table></div>')
    return "\n".join(parts)


def _row(kind: str, cells: Sequence[str]) -> str:
    inside = "".join(f"<{kind}>{html.escape(cell.strip())}</{kind}>" for cell in cells)
    return f"<tr>{inside}</tr>"
