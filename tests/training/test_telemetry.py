import time

import jax
import pytest

from mst_jax.training import telemetry as clocks


@pytest.fixture
def now(monkeypatch):
    """A clock that is set by hand."""
    times = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: times[0])
    return times


def test_a_window_by_hand(now):
    clock = clocks.Clock()
    with clock.waiting():
        now[0] += 1.0
    now[0] += 3.0
    with clock.apart():
        now[0] += 50.0
    told = clock.read(num_steps=2, num_examples=24)
    assert told == {
        "examples_per_second": 6.0,
        "examples_per_second_per_device": 6.0 / jax.device_count(),
        "step_seconds": 2.0,
        "waiting_share": 0.25,
    }
    assert set(told) < set(clocks.CLOCKED)


def test_the_next_window_knows_nothing_of_the_last(now):
    clock = clocks.Clock()
    with clock.waiting():
        now[0] += 1.0
    clock.start()
    now[0] += 2.0
    assert clock.read(num_steps=1, num_examples=1)["waiting_share"] == 0.0
