import itertools

import pytest

from mst_jax.evaluation import evaluation_task as tasks
from mst_jax.evaluation.evaluation_task import Task, click_set
from mst_jax.evaluation.journal import Journal
from mst_jax.evaluation.protocol import Protocol
from tests.helpers.analytic_network import bumps, draw_targets

PROTOCOL = Protocol(max_clicks=3, zoom=48, zoom_min_side=16, spread=0.5)
TASK = Task("toys", "data", "test", users=2, protocol=PROTOCOL)


@pytest.fixture
def played(monkeypatch):
    """Replaces the set by three drawn objects; notes which sessions are played."""
    targets = draw_targets([(40, 52), (61, 33), (50, 50)])
    monkeypatch.setattr(Task, "open", lambda task: range(3))
    monkeypatch.setattr(
        Task, "targets", lambda task, bar: (targets[n] for n in bar if n != task.limit)
    )
    found = []
    simulate_many = tasks.simulate_many

    def noting(model, targets, *, seed, **settings):
        for target, session in simulate_many(model, targets, seed=seed, **settings):
            found.append((target.id, seed))
            yield target, session

    monkeypatch.setattr(tasks, "simulate_many", noting)
    return found


def test_what_is_done_is_not_done_again(played, tmp_path):
    journal = Journal(tmp_path / "a.jsonl", {})
    whole = click_set(bumps, TASK, journal, lanes=2)
    every = set(itertools.product(["p0", "p1", "p2"], [0, 1]))
    assert set(played) == every and len(journal.lines) == 6
    order = [(one["id"], one["seed"]) for one in whole["objects"]]
    assert order == sorted(every, key=lambda one: one[::-1])
    assert len(whole["users"]) == 2 and whole["num_objects"] == 3

    broken = Journal(tmp_path / "b.jsonl", {})
    for line in [*journal.lines[1:4], journal.lines[0] | {"dataset": "others"}]:
        broken.append(line)
    played.clear()
    again = click_set(bumps, TASK, broken, lanes=2)
    assert len(played) == 3
    for one, other in zip(whole["objects"], again["objects"], strict=True):
        assert one["clicks"] == other["clicks"]
    assert again["noc"] == whole["noc"]


def test_no_object(played, tmp_path, monkeypatch):
    monkeypatch.setattr(Task, "targets", lambda task, bar: iter(()))
    journal = Journal(tmp_path / "a.jsonl", {})
    with pytest.raises(ValueError, match="toys has no object of at least 0 of its"):
        click_set(bumps, TASK, journal)


def test_a_task_is_plain_values_at_one_level():
    plain = TASK.to_plain()
    assert plain["users"] == 2 and plain["zoom"] == 48 and "protocol" not in plain
