"""Eight devices give what one gives; a process of its own, which may have eight."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
import jax
import numpy as np
from mst_jax.evaluation import simulate_many
from tests.helpers.analytic_network import bumps, draw_targets

assert len(jax.devices()) == 8
targets = draw_targets([(40 + n, 60 - n) for n in range(11)])
settings = dict(max_clicks=3, zoom=32, zoom_min_side=16, num_lanes=8, stop_iou=0.7)
for devices in (None, jax.devices()[:1]):
    found = dict(
        (target.id, session)
        for target, session in simulate_many(bumps, targets, devices=devices, **settings)
    )
    assert len(found) == 11
    print([found[one.id].clicks.tolist() for one in targets])
"""


def test_eight_devices_play_the_same_sessions_as_one():
    flags = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    )
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    eight, one = done.stdout.splitlines()
    assert eight == one and len(eight) > 200
