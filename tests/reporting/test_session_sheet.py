import numpy as np

from mst_jax.reporting.session_sheet import (
    SessionFigure,
    draw_contact_sheet,
    select_worst_and_best,
)
from tests.helpers.analytic_network import draw_targets
from tests.helpers.evaluation_summaries import make_summary


def test_worst_and_best_sessions():
    records = make_summary(num_objects=5)["objects"]
    worst, best = select_worst_and_best(records, max_sessions=2)
    assert [record["id"] for record in worst] == ["p0", "p1"]
    assert [record["id"] for record in best] == ["p4", "p3"]


def test_few_sessions_are_shared_between_worst_and_best():
    records = make_summary(num_objects=3)["objects"]
    worst, best = select_worst_and_best(records, max_sessions=6)
    assert len(worst) == 2 and len(best) == 1
    assert select_worst_and_best(records[:1], max_sessions=6)[1] == []


def test_a_row_shows_the_object_and_then_the_masks():
    (target,) = draw_targets([(20, 30)])
    clicks = np.array([[5, 10, 1], [1, 2, 0], [3, 3, 0], [9, 9, 1]])
    masks = {count: target.target for count in (1, 2, 3, 4)}
    short = SessionFigure(target, clicks[:1], [0.125], masks)
    long = SessionFigure(target, clicks, [0.1, 0.2, 0.3, 0.875], masks)
    axes = draw_contact_sheet([short, long]).axes
    titles = [axis.get_title(loc="left") for axis in axes]
    assert titles[:6] == ["p0", "1 click: IoU 12.5 %", "", "", "", ""]
    assert titles[6:10] == ["p0"] + [
        f"{count} click{'s' * (count > 1)}: IoU {10 * count:.1f} %"
        for count in (1, 2, 3)
    ]
    assert titles[10:] == ["4 clicks: IoU 87.5 %", ""]
    image = np.asarray(axes[1].images[0].get_array())
    assert image.shape[:2] == (20, 30)
    assert (image != target.image)[target.target].mean() > 0.5
