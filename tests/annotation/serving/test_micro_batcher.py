import threading
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.annotation.serving.compiled_steps import NetworkInput
from mst_jax.annotation.serving.micro_batcher import BATCH_SIZES, MicroBatcher
from mst_jax.inference.click_session import to_click_slots


def make_input(value: float, side: int = 2) -> NetworkInput:
    crop = jnp.full((1, side, side, 4), float(value))
    return NetworkInput(crop, to_click_slots(()))


class SlowNetwork:
    """Records the passes; the first one lasts until `continue_passes` is set."""

    def __init__(self):
        self.passes = []
        self.first_pass, self.continue_passes = threading.Event(), threading.Event()

    def __call__(self, inputs):
        values = [float(network_input.crop[0, 0, 0, 0]) for network_input in inputs]
        self.passes.append(values)
        self.first_pass.set()
        assert self.continue_passes.wait(10)
        if min(values) < 0:
            raise ValueError("negative value")
        return np.concatenate([network_input.crop[..., 0] for network_input in inputs])


@pytest.fixture
def slow_network():
    return SlowNetwork()


def predict_concurrently(batcher, slow_network, first_input, other_inputs):
    """Return the futures; all inputs but the first arrive during the first pass."""
    with ThreadPoolExecutor(20) as pool:
        futures = [pool.submit(batcher.predict, first_input)]
        assert slow_network.first_pass.wait(10)
        futures += [pool.submit(batcher.predict, other) for other in other_inputs]
        while len(batcher._pending) < len(other_inputs):
            pass
        slow_network.continue_passes.set()
        return futures


def test_waiting_inputs_share_a_pass_filled_to_a_compiled_size(slow_network):
    batcher = MicroBatcher(slow_network, lambda shape: BATCH_SIZES)
    other_inputs = [make_input(k) for k in (1, 2, 3)]
    futures = predict_concurrently(batcher, slow_network, make_input(0), other_inputs)
    for value, future in enumerate(futures):
        np.testing.assert_array_equal(future.result(), np.full((2, 2), value))
    first_pass, shared_pass = slow_network.passes
    assert first_pass == [0.0]
    assert sorted(shared_pass[:3]) == [1, 2, 3] and shared_pass[3] == shared_pass[0]


def test_no_pass_exceeds_the_largest_batch_size(slow_network):
    batcher = MicroBatcher(slow_network, lambda shape: BATCH_SIZES)
    other_inputs = [make_input(k) for k in range(1, 12)]
    predict_concurrently(batcher, slow_network, make_input(0), other_inputs)
    assert list(map(len, slow_network.passes)) == [1, BATCH_SIZES[-1], 4]


def test_batch_sizes_that_are_not_compiled_are_not_run(slow_network):
    batcher = MicroBatcher(slow_network, lambda shape: [2, 1])
    other_inputs = [make_input(k) for k in (1, 2, 3)]
    predict_concurrently(batcher, slow_network, make_input(0), other_inputs)
    assert list(map(len, slow_network.passes)) == [1, 2, 1]


def test_inputs_of_another_size_wait_for_their_own_pass(slow_network):
    batcher = MicroBatcher(slow_network, lambda shape: BATCH_SIZES)
    other_inputs = [make_input(1), make_input(2, side=4), make_input(3)]
    futures = predict_concurrently(batcher, slow_network, make_input(0), other_inputs)
    assert futures[2].result().shape == (4, 4)
    assert sorted(map(sorted, slow_network.passes)) == [[0], [1, 3], [2]]


def test_error_reaches_the_waiting_thread_only(slow_network):
    slow_network.continue_passes.set()
    batcher = MicroBatcher(slow_network, lambda shape: [])
    with pytest.raises(ValueError, match="negative value"):
        batcher.predict(make_input(-1))
    prob = batcher.predict(make_input(5))
    np.testing.assert_array_equal(prob, np.full((2, 2), 5))
