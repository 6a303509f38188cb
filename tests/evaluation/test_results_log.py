import json

import numpy as np
import pytest

from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation.results_log import (
    ResultsLog,
    SessionRecord,
    params_checksum,
)
from mst_jax.evaluation.simulation import SimulatedSession

SETTINGS = {"set": "toys", "zoom": None, "sides": (1, 2)}


@pytest.fixture
def record():
    target = np.zeros((20, 10), bool)
    target[5:10] = True
    image = np.zeros((20, 10, 3), np.uint8)
    evaluation_target = EvaluationTarget("a/0/1", image, target, np.ones_like(target))
    ious = np.array([0.1, 2 / 3], np.float32)
    clicks = np.array([[7, 5, 1], [2, 2, 0]])
    prob = target.astype(np.float32) * 0.5
    rois = np.full((2, 4), -1)
    session = SimulatedSession(clicks, ious, rois, prob, seconds=0.25)
    return SessionRecord.from_session(evaluation_target, session, seed=3)


def test_record_of_a_session(record):
    assert (record.id, record.seed) == ("a/0/1", 3)
    assert record.seconds == 0.5 and record.area_fraction == 0.25
    assert record.boundary_iou == 1.0


def test_json_keeps_a_record_exactly(record):
    restored = SessionRecord.from_json(json.loads(json.dumps(record.to_json())))
    np.testing.assert_array_equal(np.float32(restored.ious), record.ious)
    np.testing.assert_array_equal(restored.clicks, record.clicks)
    assert restored.to_json() == record.to_json()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "noc.jsonl"


def write_log(path, *results, settings=SETTINGS):
    log = ResultsLog(path, settings)
    for result in results:
        log.append(result)
    log.close()


def test_results_of_earlier_processes_are_read(path):
    write_log(path, {"id": 1}, {"id": 2})
    log = ResultsLog(path, SETTINGS)
    log.append({"id": 3})
    assert log.results == [{"id": 1}, {"id": 2}, {"id": 3}]
    log.close()
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines[1:]] == log.results


@pytest.mark.parametrize("num_bytes", [1, 5, 9])
def test_a_line_that_was_cut_off_does_not_count(path, num_bytes):
    write_log(path, {"id": 1}, {"id": 2})
    path.write_bytes(path.read_bytes()[:-num_bytes])
    write_log(path, {"id": 4})
    log = ResultsLog(path, SETTINGS)
    assert log.results == [{"id": 1}, {"id": 4}]
    log.close()


def test_a_first_line_that_was_cut_off_is_written_again(path):
    write_log(path, {"id": 1})
    path.write_bytes(path.read_bytes()[:7])
    write_log(path, {"id": 4})
    assert len(path.read_text().splitlines()) == 2


def test_other_settings_are_refused_and_named(path):
    write_log(path, {"id": 1})
    content = path.read_bytes()
    with pytest.raises(
        ValueError, match=r"with zoom None, not 448; finish .*--restart"
    ):
        ResultsLog(path, SETTINGS | {"zoom": 448})
    assert path.read_bytes() == content


def test_another_file_is_refused(path):
    path.parent.mkdir()
    path.write_text("my diary\n")
    with pytest.raises(ValueError, match="is not a results log"):
        ResultsLog(path, SETTINGS)
    assert path.read_text() == "my diary\n"


def test_only_one_process_writes(path):
    log = ResultsLog(path, SETTINGS)
    with pytest.raises(ValueError, match="written by another process"):
        ResultsLog(path, SETTINGS)
    log.close()


def test_a_log_without_results_is_deleted(path):
    ResultsLog(path, SETTINGS).close()
    assert not path.exists()


def test_other_parameters_have_another_checksum():
    params = {"a": np.arange(4.0), "b": {"c": np.float32(1)}}
    checksum = params_checksum(params)
    assert len(checksum) == 8 and params_checksum(params) == checksum
    assert params_checksum(params | {"a": np.arange(4.0) + 1e-9}) != checksum
