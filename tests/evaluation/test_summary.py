import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.evaluation import summary
from mst_jax.evaluation.session_record import Record


def record(name, ious, seconds=1.0, share=0.05, seed=0):
    clicks = np.array([[row, 2 * row, row % 2] for row in range(len(ious))])
    ious = np.array(ious, np.float64)
    return Record(name, ious, clicks, seconds, share, 0.5, seed)


def test_a_summary_by_hand():
    records = [record("a", [0.82, 0.91]), record("b", [0.5, 0.875], seconds=2.0)]
    got = summary.summarise("tiny", records, max_clicks=2, settings={"zoom": None})
    intervals = got.pop("noc_interval")
    assert intervals["80"] == [1.0, 2.0] and intervals["95"] == [2.0, 2.0]
    numbers = {"80": 1.5, "85": 2.0, "90": 2.0, "95": 2.0}
    spread = {"80": 0.5, "85": 0.0, "90": 0.0, "95": 0.0}
    failures = {"80": 0, "85": 0, "90": 1, "95": 2}
    assert got == {
        "dataset": "tiny",
        "num_objects": 2,
        "settings": {"zoom": None, "max_clicks": 2, "stop_iou": 1.01},
        "noc": numbers,
        "noc_std": spread,
        "nof": failures,
        "miou": [pytest.approx(0.66), pytest.approx(0.8925)],
        "miou_std": [pytest.approx(0.16), pytest.approx(0.0175)],
        "boundary_iou": 0.5,
        "by_size": [
            {
                "least": 0.03,
                "most": 0.1,
                "num_sessions": 2,
                "noc": numbers,
                "noc_std": spread,
                "nof": failures,
            }
        ],
        "users": [{"seed": 0, "noc": numbers}],
        "spc": 0.75,
        "seconds": 3.0,
        "objects": [one.to_plain() for one in records],
    }


def test_objects_are_parted_by_size():
    shares = [0.001, 0.01, 0.02, 0.5, 1.0]
    records = [record(str(s), [0.5, 0.96], share=s) for s in shares]
    sizes = summary.summarise("any", records)["by_size"]
    assert [size["num_sessions"] for size in sizes] == [1, 2, 2]
    assert [size["least"] for size in sizes] == [0.0, 0.01, 0.3]
    assert [size["noc"]["95"] for size in sizes] == [2.0, 2.0, 2.0]


def test_sessions_that_stopped_tell_what_they_reached():
    records = [record("a", [0.5, 0.86]), record("b", [0.1] * 20)]
    got = summary.summarise("any", records, stop_iou=0.85)
    assert got["noc"] == {"80": 11.0, "85": 11.0} and got["nof"] == {"80": 1, "85": 1}
    assert got["miou"] == got["miou_std"] == []


def test_several_users():
    """The mean is that of the users' means, and each object counts once."""
    records = [
        record("a", [0.96]),
        record("b", [0.1, 0.96]),
        record("a", [0.1, 0.1, 0.96], seed=1),
        record("b", [0.1, 0.96], seed=1),
    ]
    got = summary.summarise("any", records)
    assert got["num_objects"] == 2 and got["noc"]["90"] == 2.0
    assert [user["noc"]["90"] for user in got["users"]] == [1.5, 2.5]
    assert got["noc_interval"]["90"] == [2.0, 2.0]  # both objects need two on average


@given(
    curves=st.lists(
        st.lists(st.floats(0, 1), min_size=1, max_size=20), min_size=1, max_size=4
    )
)
def test_json_keeps_everything(curves):
    records = [record(str(number), ious) for number, ious in enumerate(curves)]
    got = summary.summarise("any", records)
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    assert len(got["miou"]) == 20


def test_no_object():
    with pytest.raises(ValueError, match="no object was evaluated"):
        summary.summarise("none", [])
