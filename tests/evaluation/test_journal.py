import json

import pytest

from mst_jax.evaluation.journal import Journal

TASK = {"set": "toys", "zoom": None, "sides": (1, 2)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "noc.jsonl"


def written(path, *lines, task=TASK):
    journal = Journal(path, task)
    for line in lines:
        journal.append(line)
    journal.close()


def test_results_of_earlier_processes_are_there(path):
    written(path, {"id": 1}, {"id": 2})
    journal = Journal(path, TASK)
    journal.append({"id": 3})
    assert journal.lines == [{"id": 1}, {"id": 2}, {"id": 3}]
    journal.close()
    assert [
        json.loads(line) for line in path.read_text().splitlines()[1:]
    ] == journal.lines


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_a_line_that_was_not_finished_does_not_count(path, cut):
    written(path, {"id": 1}, {"id": 2})
    path.write_bytes(path.read_bytes()[:-cut])
    written(path, {"id": 4})
    journal = Journal(path, TASK)
    assert journal.lines == [{"id": 1}, {"id": 4}]
    journal.close()


def test_a_first_line_that_was_not_finished_is_begun_anew(path):
    written(path, {"id": 1})
    path.write_bytes(path.read_bytes()[:7])
    written(path, {"id": 4})
    assert len(path.read_text().splitlines()) == 2


def test_another_task_is_refused_and_named(path):
    written(path, {"id": 1})
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match=r"with zoom None, not 448; finish .*--restart"
    ):
        Journal(path, TASK | {"zoom": 448})
    assert path.read_bytes() == before


def test_another_file_is_refused(path):
    path.parent.mkdir()
    path.write_text("my diary\n")
    with pytest.raises(ValueError, match="holds something else"):
        Journal(path, TASK)
    assert path.read_text() == "my diary\n"


def test_one_process_writes(path):
    journal = Journal(path, TASK)
    with pytest.raises(ValueError, match="written by another process"):
        Journal(path, TASK)
    journal.close()


def test_without_a_result_nothing_is_left(path):
    Journal(path, TASK).close()
    assert not path.exists()
