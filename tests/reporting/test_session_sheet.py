import numpy as np

from mst_jax.reporting.session_sheet import Story, choose_sessions, contact_sheet
from tests.helpers.analytic_network import draw_targets
from tests.helpers.evaluation_summaries import draw_summary


def test_worst_first_and_best_first():
    worst, best = choose_sessions(draw_summary(num=5)["objects"], num=2)
    assert [one["id"] for one in worst] == ["p0", "p1"]
    assert [one["id"] for one in best] == ["p4", "p3"]
    worst, best = choose_sessions(draw_summary(num=3)["objects"], num=6)
    assert len(worst) == 2 and len(best) == 1
    assert choose_sessions(draw_summary(num=1)["objects"], num=6)[1] == []


def test_a_row_shows_the_object_and_the_masks_in_turn():
    (target,) = draw_targets([(20, 30)])
    clicks = np.array([[5, 10, 1], [1, 2, 0], [3, 3, 0], [9, 9, 1]])
    masks = {n: target.target for n in (1, 2, 3, 4)}
    short = Story(target, clicks[:1], [0.125], masks)
    long = Story(target, clicks, [0.1, 0.2, 0.3, 0.875], masks)
    axes = contact_sheet([short, long]).axes
    titles = [axis.get_title(loc="left") for axis in axes]
    assert titles[:6] == ["p0", "1 click: IoU 12.5 %", "", "", "", ""]
    assert titles[6:10] == ["p0"] + [
        f"{n} click{'s' * (n > 1)}: IoU {10 * n:.1f} %" for n in (1, 2, 3)
    ]
    assert titles[10:] == ["4 clicks: IoU 87.5 %", ""]
    shown = axes[1].images[0].get_array()
    assert shown.shape[:2] == (20, 30)
    assert (np.asarray(shown) != target.image)[target.target].mean() > 0.5
