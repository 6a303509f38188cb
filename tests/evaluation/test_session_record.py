import json

import numpy as np
import pytest

from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation.session_record import Record
from mst_jax.evaluation.simulation import Session


@pytest.fixture
def kept():
    target = np.zeros((20, 10), bool)
    target[5:10] = True
    image = np.zeros((20, 10, 3), np.uint8)
    item = EvaluationTarget("a/0/1", image, target, np.ones_like(target))
    ious = np.array([0.1, 2 / 3], np.float32)
    clicks = np.array([[7, 5, 1], [2, 2, 0]])
    prob = target.astype(np.float32) * 0.5
    session = Session(clicks, ious, np.full((2, 4), -1), prob, seconds=0.25)
    return Record.of(item, session, seed=3)


def test_what_is_kept_of_a_session(kept):
    assert (kept.id, kept.seed) == ("a/0/1", 3)
    assert kept.seconds == 0.5 and kept.share == 0.25 and kept.boundary_iou == 1.0


def test_json_keeps_everything(kept):
    again = Record.from_plain(json.loads(json.dumps(kept.to_plain())))
    np.testing.assert_array_equal(np.float32(again.ious), kept.ious)
    np.testing.assert_array_equal(again.clicks, kept.clicks)
    assert again.to_plain() == kept.to_plain()
