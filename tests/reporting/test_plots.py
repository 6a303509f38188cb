import numpy as np

from mst_jax.evaluation.summary import summarise
from mst_jax.reporting import plots
from tests.helpers.evaluation_summaries import draw_summary


def test_a_line_a_run_through_the_means():
    one, other = draw_summary(), draw_summary(num=3)
    (axes,) = plots.iou_curves({"ours": one, "theirs": other}).axes
    for line, summary in zip(axes.lines, (one, other), strict=True):
        np.testing.assert_allclose(line.get_ydata(), summary["miou"])
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["ours", "theirs"]


def test_the_bars_count_every_object_and_those_that_never_came_stand_apart():
    summary = draw_summary()
    (axes,) = plots.click_histograms(summary, ("85", "95")).axes
    for bars, quality in zip(axes.containers, ("85", "95"), strict=True):
        heights = [bar.get_height() for bar in bars]
        assert sum(heights) == 8
        assert heights[-1] == summary["nof"][quality] > 0
        reached = np.dot(heights[:6], np.arange(1, 7)) + 6 * heights[-1]
        assert reached / 8 == summary["noc"][quality]


def test_a_dot_a_session_at_its_share():
    summary = draw_summary()
    (axes,) = plots.clicks_by_size(summary, "90").axes
    dots = axes.collections[0].get_offsets()
    np.testing.assert_allclose(dots[:, 0], [one["share"] for one in summary["objects"]])
    means = [size["noc"]["90"] for size in summary["by_size"]]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), means)


def test_empty_settings_are_no_hindrance():
    """A summary of one object that was clicked once."""
    from mst_jax.evaluation.session_record import Record

    record = Record("a", np.array([0.5]), np.array([[1, 2, 1]]), 1.0, 1.0, 0.1)
    summary = summarise("one", [record], max_clicks=1)
    for plot in (plots.click_histograms, plots.clicks_by_size):
        assert plot(summary).axes
