"""Processes are detected, given or absent; several real ones: test_several_processes."""

import jax
import pytest

from mst_jax.command_line import CommandParser
from mst_jax.training import distributed


@pytest.fixture
def initialize_calls(monkeypatch):
    """The arguments with which JAX would have been initialized."""
    calls = []

    def initialize(*args, **_):
        calls.append(args)
        if not args:
            raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    for name in distributed.ENV_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return calls


def test_flags_take_precedence_over_the_environment(initialize_calls, monkeypatch):
    for name, value in zip(distributed.ENV_VARIABLES, ("a:1", "4", "3"), strict=True):
        monkeypatch.setenv(name, value)
    distributed.join_processes()
    distributed.join_processes("b:2", None, "0")
    assert initialize_calls == [("a:1", 4, 3), ("b:2", 4, 0)]


def test_without_flags_and_cluster_there_is_one_process(initialize_calls):
    distributed.join_processes()
    assert initialize_calls == [()]
    assert distributed.is_main_process() and distributed.process_shard() == (0, 1)
    distributed.sync_processes("a barrier of one process")
    assert distributed.sum_over_processes({"count": 2.0}) == {"count": 2.0}


def test_an_error_of_a_detected_cluster_is_raised(monkeypatch, initialize_calls):
    def initialize(**_):
        raise ValueError("Number of processes must be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(ValueError, match="Number of processes"):
        distributed.join_processes()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("a:1", "2", None), "^--process-id not given; expected all of --coordinator"),
        ((None, None, "1"), "^--coordinator, --num-processes not given"),
        (("a:1", "2", "2"), "^process 2 of 2 with coordinator a:1; expected"),
        (("a:1", "two", "0"), "^process 0 of two"),
        (("a", "2", "0"), "with coordinator a; expected"),
        (("a:1", "2", "-1"), "^process -1 of 2"),
    ],
)
def test_wrong_flags_are_one_sentence(initialize_calls, flags, sentence):
    with pytest.raises(ValueError, match=sentence):
        distributed.join_processes(*flags)
    assert initialize_calls == []


@pytest.mark.parametrize("separator", ["-", "_"])
def test_flags_have_the_names_of_the_arguments(separator):
    parser = CommandParser()
    distributed.add_distributed_flags(parser)
    words = ["--coordinator", "a:1"]
    words += [f"--num{separator}processes", "2", f"--process{separator}id", "0"]
    assert vars(parser.parse_args(words)) == {
        "coordinator": "a:1",
        "num_processes": "2",
        "process_id": "0",
    }


def test_a_single_process_stops_at_once():
    values = iter([0, 0, 75])
    should_stop = distributed.sync_stop_signal(lambda: next(values))
    assert [should_stop() for _ in range(3)] == [0, 0, 75]
