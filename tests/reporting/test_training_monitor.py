"""What the monitor plans; `tests/test_monitored_run.py` trains a whole run."""

import types

import jax
import numpy as np
import optax
import pytest

from mst_jax.models.build import build
from mst_jax.reporting.training_monitor import SummaryOptions, TrainingMonitor
from mst_jax.training import telemetry
from mst_jax.training.config import check_config
from mst_jax.training.train_state import init_train_state
from mst_jax.training.training_run import RunPlan
from tests.helpers.tiny_config import get_config
from tests.helpers.tiny_models import TINY_MODELS


class RecordingWriter:
    """A writer that keeps what it gets."""

    def __init__(self):
        self.written = []

    def write_metrics(self, step, metrics):
        self.written.append((step, dict(metrics)))


@pytest.fixture
def monitor():
    # Neither state nor step nor devices are used before the first step.
    config = get_config()
    config.validation.name = None
    config.summaries.images_every = 0
    options = check_config(config)
    module = build("simpleclick", **TINY_MODELS["simpleclick"])
    return TrainingMonitor(RunPlan(options, None, module, None, None), config)


def test_no_callback_is_due_unless_it_is_configured(monitor):
    callbacks = monitor.callbacks
    assert not any(c.is_due(step) for c in callbacks for step in range(99))
    assert monitor.checkpoint_metrics(4) == {}


def test_metrics_of_the_devices_are_added(monitor, monkeypatch):
    monkeypatch.setattr(telemetry, "memory_metric", lambda: {"device_memory_gib": 3.0})
    monkeypatch.setattr(telemetry, "peak_flops", lambda device_kind: 1e12)
    writer = RecordingWriter()
    monitor._writers, monitor._step_flops = [writer], 2e11
    monitor._progress = types.SimpleNamespace(show_metrics=lambda metrics: None)
    state = init_train_state({}, optax.identity(), jax.random.key(0))
    monitor.on_log(5, state, {"loss": 1.0, "iou": 0.5, "step_seconds": 0.5})
    ((step, metrics),) = writer.written
    assert step == 5 and metrics["device_memory_gib"] == 3.0
    np.testing.assert_allclose(metrics["mfu"], 0.4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images_every": -1}, "images_every is -1, expected 0 or more"),
        ({"num_images": 0}, "num_images is 0, expected 1 or more"),
    ],
)
def test_a_summary_option_out_of_range_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        SummaryOptions(**changes)
