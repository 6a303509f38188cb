import base64
import re

from matplotlib.figure import Figure

from mst_jax.reporting import html_page


def test_tables_are_those_of_the_markdown():
    made = html_page.tables(
        "| a < b |  c |\n| ----- | -: |\n| x     | 12 |\n\nQuoted: one.\ntwo."
    )
    assert "<tr><th>a &lt; b</th><th>c</th></tr><tr><td>x</td><td>12</td></tr>" in made
    assert '<p class="small">Quoted: one. two.</p>' in made


def test_pictures_are_within_the_page():
    figure = Figure((1, 1))
    for kind, start in (("png", b"\x89PNG"), ("jpeg", b"\xff\xd8\xff")):
        made = html_page.picture(figure, 'a "b"', kind=kind)
        data = re.search(rf"data:image/{kind};base64,([^\"]+)", made).group(1)
        assert base64.b64decode(data).startswith(start)
        assert "a &quot;b&quot;" in made


def test_a_page_is_whole_and_needs_no_other_file():
    made = html_page.make_page(
        "5 < 6", [html_page.heading("h&h"), html_page.paragraph("$x {y}")]
    )
    assert made.startswith("<!doctype html>") and made.rstrip().endswith("</html>")
    assert "<title>5 &lt; 6</title>" in made and "<h2>h&amp;h</h2>" in made
    assert "$x {y}" in made and "http" not in made
