import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.evaluation import summary
from mst_jax.evaluation.results_log import SessionRecord


def make_record(name, ious, seconds=1.0, area_fraction=0.05, seed=0):
    clicks = np.array([[index, 2 * index, index % 2] for index in range(len(ious))])
    ious = np.array(ious, np.float64)
    return SessionRecord(name, ious, clicks, seconds, area_fraction, 0.5, seed)


def test_a_summary_by_hand():
    records = [
        make_record("a", [0.82, 0.91]),
        make_record("b", [0.5, 0.875], seconds=2.0),
    ]
    got = summary.summarize_sessions(
        "tiny", records, max_clicks=2, settings={"zoom": None}
    )
    intervals = got.pop("noc_ci95")
    assert intervals["80"] == [1.0, 2.0] and intervals["95"] == [2.0, 2.0]
    # Two objects: the means of resampled pairs reach both of their values.
    first_interval, second_interval = got.pop("miou_ci95")
    assert first_interval == pytest.approx([0.5, 0.82])
    assert second_interval == pytest.approx([0.875, 0.91])
    nocs = {"80": 1.5, "85": 2.0, "90": 2.0, "95": 2.0}
    stds = {"80": 0.5, "85": 0.0, "90": 0.0, "95": 0.0}
    failures = {"80": 0, "85": 0, "90": 1, "95": 2}
    assert got == {
        "dataset": "tiny",
        "num_objects": 2,
        "settings": {"zoom": None, "max_clicks": 2, "stop_iou": 1.01},
        "noc": nocs,
        "noc_std": stds,
        "nof": failures,
        "miou": [pytest.approx(0.66), pytest.approx(0.8925)],
        "miou_std": [pytest.approx(0.16), pytest.approx(0.0175)],
        "boundary_iou": 0.5,
        "boundary_iou_ci95": [0.5, 0.5],
        "by_size": [
            {
                "min_area_fraction": 0.03,
                "max_area_fraction": 0.1,
                "num_sessions": 2,
                "noc": nocs,
                "noc_std": stds,
                "nof": failures,
            }
        ],
        "by_user": [{"seed": 0, "noc": nocs}],
        "seconds_per_click": 0.75,
        "total_seconds": 3.0,
        "objects": [record.to_json() for record in records],
    }


def test_objects_are_binned_by_size():
    records = [
        make_record(str(fraction), [0.5, 0.96], area_fraction=fraction)
        for fraction in (0.001, 0.01, 0.02, 0.5, 1.0)
    ]
    sizes = summary.summarize_sessions("any", records)["by_size"]
    assert [size["num_sessions"] for size in sizes] == [1, 2, 2]
    assert [size["min_area_fraction"] for size in sizes] == [0.0, 0.01, 0.3]
    assert [size["noc"]["95"] for size in sizes] == [2.0, 2.0, 2.0]


def test_stopped_sessions_count_up_to_their_stop_iou():
    records = [make_record("a", [0.5, 0.86]), make_record("b", [0.1] * 20)]
    got = summary.summarize_sessions("any", records, stop_iou=0.85)
    assert got["noc"] == {"80": 11.0, "85": 11.0} and got["nof"] == {"80": 1, "85": 1}
    assert got["miou"] == got["miou_std"] == got["miou_ci95"] == []


def test_metrics_of_several_users():
    """NoC is the mean of the users' means, and each object counts once."""
    records = [
        make_record("a", [0.96]),
        make_record("b", [0.1, 0.96]),
        make_record("a", [0.1, 0.1, 0.96], seed=1),
        make_record("b", [0.1, 0.96], seed=1),
    ]
    got = summary.summarize_sessions("any", records)
    assert got["num_objects"] == 2 and got["noc"]["90"] == 2.0
    assert [user["noc"]["90"] for user in got["by_user"]] == [1.5, 2.5]
    assert got["noc_ci95"]["90"] == [2.0, 2.0]  # both objects need two on average


@given(
    curves=st.lists(
        st.lists(st.floats(0, 1), min_size=1, max_size=20), min_size=1, max_size=4
    )
)
def test_json_keeps_everything(curves):
    records = [make_record(str(index), ious) for index, ious in enumerate(curves)]
    got = summary.summarize_sessions("any", records)
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    assert len(got["miou"]) == 20


def test_no_record_is_refused():
    with pytest.raises(ValueError, match="no object was evaluated"):
        summary.summarize_sessions("none", [])


def test_summaries_are_written_and_read(tmp_path):
    summaries = [summary.summarize_sessions("tiny", [make_record("a", [0.9])])]
    path = tmp_path / "new" / "noc.json"
    summary.write_summaries(path, summaries)
    assert summary.read_summaries(path) == summaries
    path.write_text("[]")
    with pytest.raises(ValueError, match="is not the JSON of an evaluation"):
        summary.read_summaries(path)
