"""Render text, tables and figures as one HTML file without external resources."""

import base64
import html
import io
import string
from collections.abc import Sequence

from matplotlib.figure import Figure

_PAGE_TEMPLATE = string.Template(
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


def render_page(title: str, html_fragments: Sequence[str]) -> str:
    """Render a page from HTML fragments.

    Args:
        title: Title of the page, plain text.
        html_fragments: Results of the functions below, in their order on the page.
    """
    return _PAGE_TEMPLATE.substitute(
        title=html.escape(title), body="\n".join(html_fragments)
    )


def render_heading(text: str) -> str:
    """Render a heading inside the page.

    Args:
        text: Plain text.
    """
    return f"<h2>{html.escape(text)}</h2>"


def render_paragraph(text: str) -> str:
    """Render a paragraph in small letters.

    Args:
        text: Plain text.
    """
    return f'<p class="small">{html.escape(text)}</p>'


def render_figure(
    figure: Figure, caption: str = "", *, file_format: str = "png"
) -> str:
    """Render a figure whose image data is part of the page.

    Args:
        figure: Figure of matplotlib.
        caption: Text below the figure, also for screen readers.
        file_format: "jpeg" for photographs, else "png".
    """
    image_file = io.BytesIO()
    figure.savefig(image_file, format=file_format)
    # A data URL, so that the page is one file that can be sent or moved.
    encoded_image = base64.b64encode(image_file.getvalue()).decode()
    alt_text = html.escape(caption, quote=True)
    image_tag = (
        f'<img alt="{alt_text}" src="data:image/{file_format};base64,{encoded_image}">'
    )
    return (
        f"<figure>{image_tag}<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def render_tables(markdown_text: str) -> str:
    """Render Markdown that consists of tables and paragraphs.

    Args:
        markdown_text: Result of `evaluation.result_tables.to_markdown`.
    """
    html_fragments = []
    for markdown_block in markdown_text.split("\n\n"):
        block_lines = markdown_block.splitlines()
        if not block_lines[0].startswith("|"):
            html_fragments.append(render_paragraph(" ".join(block_lines)))
            continue
        # The second line of a table is the rule that aligns its columns.
        header_cells, _, *body_rows = [
            table_line.strip("|").split("|") for table_line in block_lines
        ]
        table_rows = [_render_row("th", header_cells)]
        table_rows += [_render_row("td", row_cells) for row_cells in body_rows]
        # Wide tables scroll inside their box, not the whole page.
        table_html = f"<table>{''.join(table_rows)}</table>"
        html_fragments.append(f'<div class="scroll">{table_html}</div>')
    return "\n".join(html_fragments)


def _render_row(cell_tag: str, row_cells: Sequence[str]) -> str:
    """Render a table row whose cells have the tag "th" or "td"."""
    inner_html = "".join(
        f"<{cell_tag}>{html.escape(cell_text.strip())}</{cell_tag}>"
        for cell_text in row_cells
    )
    return f"<tr>{inner_html}</tr>"
