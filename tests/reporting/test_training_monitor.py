"""What `Watch` plans; `tests/test_watching.py` plays a whole run."""

import types

import jax
import numpy as np
import optax
import pytest

from mst_jax.models.build import build
from mst_jax.reporting.training_monitor import Watch
from mst_jax.training import devices
from mst_jax.training.setup import Run
from mst_jax.training.train_state import start_state
from tests.helpers.tiny_config import get_config
from tests.helpers.tiny_models import TINY


class Listener:
    """A writer that remembers."""

    def __init__(self):
        self.told = []

    def numbers(self, step, metrics):
        self.told.append((step, dict(metrics)))


@pytest.fixture
def watch():
    # Neither state nor devices are looked at before the first step.
    module = build("simpleclick", **TINY["simpleclick"])
    return Watch(Run(None, None, None, None, module), get_config())


def test_nothing_is_due_unless_it_is_wanted(watch):
    assert not any(is_due(step) for is_due, _ in watch.watchers for step in range(99))
    assert watch.measured_at(4) == {}


def test_numbers_of_the_devices_are_added(watch, monkeypatch):
    monkeypatch.setattr(devices, "memory_in_use", lambda: {"device_memory_gib": 3.0})
    monkeypatch.setattr(devices, "peak_of", lambda kind: 1e12)
    listener = Listener()
    watch._writers, watch._flops = [listener], 2e11
    watch._bar = types.SimpleNamespace(
        n=0, update=lambda n: None, set_postfix=lambda **shown: None
    )
    state = start_state({}, optax.identity(), jax.random.key(0))
    watch.on_log(5, state, {"loss": 1.0, "iou": 0.5, "step_seconds": 0.5})
    ((step, told),) = listener.told
    assert step == 5 and told["device_memory_gib"] == 3.0
    np.testing.assert_allclose(told["flop_utilization"], 0.4)
