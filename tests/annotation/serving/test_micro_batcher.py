import threading
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.annotation.serving.compiled_steps import Framed
from mst_jax.annotation.serving.micro_batcher import BATCHES, Batcher
from mst_jax.inference.click_session import in_slots


def framed(value: float, side: int = 2) -> Framed:
    return Framed(jnp.full((1, side, side, 4), float(value)), in_slots(()))


class Slow:
    """Notes the passes; the first one lasts until it is let go."""

    def __init__(self):
        self.passes, self.first, self.go = [], threading.Event(), threading.Event()

    def __call__(self, company):
        self.passes.append([float(one.layers[0, 0, 0, 0]) for one in company])
        self.first.set()
        assert self.go.wait(10)
        if any(one.layers[0, 0, 0, 0] < 0 for one in company):
            raise ValueError("less than nothing")
        return np.concatenate([one.layers[..., 0] for one in company])


@pytest.fixture
def slow():
    return Slow()


def ask_together(batcher, slow, first, others):
    """Answers to those who came while the network looked at the first one."""
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(batcher.ask, first)]
        assert slow.first.wait(10)
        answers += [pool.submit(batcher.ask, other) for other in others]
        while len(batcher._waiting) < len(others):
            pass
        slow.go.set()
        return answers


def test_those_who_wait_share_a_pass_filled_up_to_a_known_size(slow):
    batcher = Batcher(slow, lambda shape: BATCHES)
    answers = ask_together(batcher, slow, framed(0), [framed(k) for k in (1, 2, 3)])
    for value, answer in enumerate(answers):
        np.testing.assert_array_equal(answer.result(), np.full((2, 2), value))
    alone, together = slow.passes
    assert alone == [0.0]
    assert sorted(together[:3]) == [1, 2, 3] and together[3] == together[0]


def test_no_pass_is_larger_than_the_largest(slow):
    ask_together(
        Batcher(slow, lambda shape: BATCHES),
        slow,
        framed(0),
        [framed(k) for k in range(1, 12)],
    )
    assert [len(company) for company in slow.passes] == [1, BATCHES[-1], 4]


def test_sizes_that_are_not_ready_are_not_run(slow):
    batcher = Batcher(slow, lambda shape: [2, 1])
    ask_together(batcher, slow, framed(0), [framed(k) for k in (1, 2, 3)])
    assert [len(company) for company in slow.passes] == [1, 2, 1]


def test_those_who_see_less_wait_for_their_own_pass(slow):
    others = [framed(1), framed(2, side=4), framed(3)]
    answers = ask_together(
        Batcher(slow, lambda shape: BATCHES), slow, framed(0), others
    )
    assert answers[2].result().shape == (4, 4)
    assert sorted(map(sorted, slow.passes)) == [[0], [1, 3], [2]]


def test_an_error_reaches_those_who_asked_and_no_one_else(slow):
    slow.go.set()
    batcher = Batcher(slow, lambda shape: [])
    with pytest.raises(ValueError, match="less than nothing"):
        batcher.ask(framed(-1))
    np.testing.assert_array_equal(batcher.ask(framed(5)), np.full((2, 2), 5))
