import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.evaluation import summary


def record(name, ious, seconds=1.0):
    clicks = np.array([[row, 2 * row, row % 2] for row in range(len(ious))])
    return summary.Record(name, np.array(ious, np.float64), clicks, seconds)


def test_a_summary_by_hand():
    records = [record("a", [0.82, 0.91]), record("b", [0.5, 0.875], seconds=2.0)]
    got = summary.summarise("tiny", records, max_clicks=2, settings={"zoom": None})
    assert got == {
        "dataset": "tiny",
        "num_objects": 2,
        "settings": {"zoom": None, "max_clicks": 2},
        "noc": {"80": 1.5, "85": 2.0, "90": 2.0, "95": 2.0},
        "nof": {"80": 0, "85": 0, "90": 1, "95": 2},
        "miou": [pytest.approx(0.66), pytest.approx(0.8925)],
        "spc": 0.75,
        "seconds": 3.0,
        "objects": [
            {"id": "a", "ious": [0.82, 0.91], "clicks": [[0, 0, 0], [1, 2, 1]]},
            {"id": "b", "ious": [0.5, 0.875], "clicks": [[0, 0, 0], [1, 2, 1]]},
        ],
    }


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
