"""Eight devices give the same sessions as one; run in a process with eight devices."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
import jax
import numpy as np
from mst_jax.evaluation import EvaluationProtocol, simulate_batched
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import analytic_model, draw_targets

assert len(jax.devices()) == 8
targets = draw_targets([(40 + index, 60 - index) for index in range(11)])
protocol = EvaluationProtocol(max_clicks=3, zoom=ZoomOptions(size=32, min_side=16))
for devices in (None, jax.devices()[:1]):
    ended = simulate_batched(
        analytic_model,
        targets,
        batch_size=8,
        stop_iou=0.7,
        protocol=protocol,
        devices=devices,
    )
    sessions = {target.id: session for target, session in ended}
    assert len(sessions) == 11
    print([sessions[target.id].clicks.tolist() for target in targets])
"""


@pytest.mark.slow
def test_eight_devices_run_the_same_sessions_as_one():
    flags = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    )
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    on_eight, on_one = process.stdout.splitlines()
    assert on_eight == on_one and len(on_eight) > 200
