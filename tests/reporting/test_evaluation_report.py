import numpy as np

from mst_jax.evaluation.evaluation_task import EvaluationTask
from mst_jax.evaluation.protocol import EvaluationProtocol
from mst_jax.evaluation.results_log import SessionRecord
from mst_jax.evaluation.simulation import simulate
from mst_jax.evaluation.summary import summarize_sessions
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.reporting.evaluation_report import (
    render_report,
    replay_sessions,
    write_report,
)
from tests.helpers.analytic_network import analytic_model, draw_targets

PROTOCOL = EvaluationProtocol(max_clicks=3, zoom=ZoomOptions(size=48, min_side=16))


def make_summary(targets):
    records = []
    for target in targets:
        session = simulate(analytic_model, *target[1:], protocol=PROTOCOL)
        records.append(SessionRecord.from_session(target, session))
    return summarize_sessions("toys", records, max_clicks=3)


def test_the_page_has_tables_plots_and_sessions():
    targets = draw_targets([(40, 52), (61, 33)])
    summary = make_summary(targets)
    titled_sessions = replay_sessions(
        analytic_model, lambda: iter(targets), summary, protocol=PROTOCOL
    )
    assert [len(sessions) for _, sessions in titled_sessions] == [1, 1]
    (worst,), (best,) = (sessions for _, sessions in titled_sessions)
    assert np.mean(worst.ious) <= np.mean(best.ious)
    assert sorted(worst.masks) == [1, 2, 3]
    page = render_report(
        [summary], {"toys": titled_sessions}, earlier_summaries={"before": summary}
    )
    assert page.count("<img") == 3 + 2 and "Clicks needed: toys" in page


def test_the_report_is_written(tmp_path, monkeypatch):
    targets = draw_targets([(40, 52)])
    monkeypatch.setattr(EvaluationTask, "open_dataset", lambda task: None)
    monkeypatch.setattr(EvaluationTask, "iterate_targets", lambda task, _: targets)
    task = EvaluationTask("toys", "data", "test", protocol=PROTOCOL)
    path = tmp_path / "new" / "index.html"
    summary = make_summary(targets)
    write_report(path, analytic_model, [task], [summary], {"before": [summary]})
    assert path.read_text().count("<img") == 3 + 1
