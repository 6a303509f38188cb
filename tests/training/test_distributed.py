"""Processes that are found, given, or not there; several of them: test_two_processes."""

import argparse

import jax
import pytest

from mst_jax.training import distributed


@pytest.fixture
def joined(monkeypatch):
    """Notes what JAX is told to join, instead of joining."""
    told = []

    def initialize(*given, **options):
        told.append(given)
        if not given:
            raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    for name in distributed.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return told


def test_flags_go_before_the_environment(joined, monkeypatch):
    for name, value in zip(distributed.VARIABLES, ("a:1", "4", "3"), strict=True):
        monkeypatch.setenv(name, value)
    distributed.join()
    distributed.join("b:2", None, "0")
    assert joined == [("a:1", 4, 3), ("b:2", 4, 0)]


def test_with_nothing_said_and_nothing_found_the_process_is_alone(joined):
    distributed.join()
    assert joined == [()]
    assert distributed.is_first() and distributed.shard() == (0, 1)
    distributed.wait("nobody else")


def test_what_is_found_and_wrong_is_told(monkeypatch, joined):
    def initialize(**_):
        raise ValueError("Number of processes must be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(ValueError, match="Number of processes"):
        distributed.join()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("a:1", "2", None), "^--process_id not given; expected all of --coordinator"),
        ((None, None, "1"), "^--coordinator, --num_processes not given"),
        (("a:1", "2", "2"), "^process 2 of 2 with coordinator a:1; expected"),
        (("a:1", "two", "0"), "^process 0 of two"),
        (("a", "2", "0"), "with coordinator a; expected"),
        (("a:1", "2", "-1"), "^process -1 of 2"),
    ],
)
def test_wrong_flags_are_one_sentence(joined, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        distributed.join(*given)
    assert joined == []


def test_flags_have_the_names_of_the_arguments():
    parser = argparse.ArgumentParser()
    distributed.add_flags(parser)
    words = ["--coordinator", "a:1", "--num_processes", "2", "--process_id", "0"]
    assert vars(parser.parse_args(words)) == {
        "coordinator": "a:1",
        "num_processes": "2",
        "process_id": "0",
    }


def test_alone_everybody_is_asked_at_once():
    said = iter([0, 0, 75])
    assert [distributed.together(lambda: next(said))() for _ in range(3)] == [0, 0, 75]
