import numpy as np

from mst_jax.evaluation.session_record import Record
from mst_jax.evaluation.simulation import simulate
from mst_jax.evaluation.summary import summarise
from mst_jax.reporting.evaluation_report import assemble, tell_sessions
from tests.helpers.analytic_network import bumps, draw_targets

SETTINGS = dict(max_clicks=3, zoom=48, zoom_min_side=16)


def test_the_page_of_an_evaluation():
    targets = draw_targets([(40, 52), (61, 33)])
    ended = [simulate(bumps, *target[1:], **SETTINGS) for target in targets]
    pairs = zip(targets, ended, strict=True)
    summary = summarise("toys", [Record.of(*pair) for pair in pairs], max_clicks=3)
    sheets = tell_sessions(bumps, lambda: iter(targets), summary, **SETTINGS)
    assert [len(stories) for _, stories in sheets] == [1, 1]
    (worst,), (best,) = (stories for _, stories in sheets)
    assert np.mean(worst.ious) <= np.mean(best.ious)
    assert sorted(worst.masks) == [1, 2, 3]
    made = assemble([summary], {"toys": sheets}, compared={"before": summary})
    assert made.count("<img") == 3 + 2 and "Clicks needed: toys" in made
