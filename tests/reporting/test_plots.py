import numpy as np

from mst_jax.evaluation.results_log import SessionRecord
from mst_jax.evaluation.summary import summarize_sessions
from mst_jax.reporting import plots
from tests.helpers.evaluation_summaries import make_summary


def test_iou_curves_are_the_mean_ious():
    ours, theirs = make_summary(), make_summary(num_objects=3)
    (axes,) = plots.plot_iou_curves({"ours": ours, "theirs": theirs}).axes
    for line, summary in zip(axes.lines, (ours, theirs), strict=True):
        np.testing.assert_allclose(line.get_ydata(), summary["miou"])
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["ours", "theirs"]


def test_histograms_count_every_object_and_show_failures_apart():
    summary = make_summary()
    (axes,) = plots.plot_click_histograms(summary, ("85", "95")).axes
    for bars, percent in zip(axes.containers, ("85", "95"), strict=True):
        heights = [bar.get_height() for bar in bars]
        assert sum(heights) == 8
        assert heights[-1] == summary["nof"][percent] > 0
        total_clicks = np.dot(heights[:6], np.arange(1, 7)) + 6 * heights[-1]
        assert total_clicks / 8 == summary["noc"][percent]


def test_each_session_is_a_dot_at_its_area():
    summary = make_summary()
    (axes,) = plots.plot_clicks_by_size(summary, "90").axes
    dots = axes.collections[0].get_offsets()
    areas = [record["area_fraction"] for record in summary["objects"]]
    np.testing.assert_allclose(dots[:, 0], areas)
    means = [size_bin["noc"]["90"] for size_bin in summary["by_size"]]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), means)


def test_one_object_that_was_clicked_once_is_plotted():
    clicks = np.array([[1, 2, 1]])
    record = SessionRecord("a", np.array([0.5]), clicks, 1.0, 1.0, 0.1)
    summary = summarize_sessions("one", [record], max_clicks=1)
    for plot in (plots.plot_click_histograms, plots.plot_clicks_by_size):
        assert plot(summary).axes
