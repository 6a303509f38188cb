import base64
import re

from matplotlib.figure import Figure

from mst_jax.reporting import html_page


def test_markdown_tables_become_html_tables():
    fragment = html_page.render_tables(
        "| a < b |  c |\n| ----- | -: |\n| x     | 12 |\n\nQuoted: one.\ntwo."
    )
    rows = "<tr><th>a &lt; b</th><th>c</th></tr><tr><td>x</td><td>12</td></tr>"
    assert rows in fragment
    assert '<p class="small">Quoted: one. two.</p>' in fragment


def test_figures_are_part_of_the_page():
    figure = Figure((1, 1))
    for file_format, magic in (("png", b"\x89PNG"), ("jpeg", b"\xff\xd8\xff")):
        fragment = html_page.render_figure(figure, 'a "b"', file_format=file_format)
        encoded = re.search(rf"data:image/{file_format};base64,([^\"]+)", fragment)
        assert base64.b64decode(encoded.group(1)).startswith(magic)
        assert "a &quot;b&quot;" in fragment


def test_a_page_is_complete_and_needs_no_other_file():
    fragments = [
        html_page.render_heading("h&h"),
        html_page.render_paragraph("$x {y}"),
    ]
    page = html_page.render_page("5 < 6", fragments)
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "<title>5 &lt; 6</title>" in page and "<h2>h&amp;h</h2>" in page
    assert "$x {y}" in page and "http" not in page
