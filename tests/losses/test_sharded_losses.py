"""Losses of images whose rows are sharded over four devices, under `jax.shard_map`."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLAGS = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"


def test_sharded_rows_have_the_loss_and_the_gradient_of_whole_images():
    flags = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}"
    process = subprocess.run(
        [sys.executable, "-m", "tests.helpers.sharded_losses"],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    differences = json.loads(process.stdout)
    assert len(differences) == 5
    for name, difference in differences.items():
        # Without the axis name, each shard would be normalized alone.
        assert difference.pop("without axis_name") > 1e-3, name
        assert max(difference.values()) < 2e-6, (name, difference)
