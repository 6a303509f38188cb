"""The parts of a run follow from its config; the command's tests play the run."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from mst_jax.models.load import load
from mst_jax.training.setup import build_run, open_data
from mst_jax.training.sharding import put_batch
from tests.helpers.small_checkpoint import write_checkpoint
from tests.helpers.tiny_config import get_config
from tests.helpers.tiny_models import tiny_batch

KERNEL = ("backbone", "block0", "mlp", "out", "kernel")


def kernel_of(state):
    leaf = state.params
    for name in KERNEL:
        leaf = leaf[name]
    return leaf


def test_the_first_state_is_its_config_and_seed():
    config = get_config()
    one, two = build_run(config).state, build_run(config).state
    jax.tree.map(np.testing.assert_array_equal, one.params, two.params)
    config.seed = 1
    other = build_run(config).state
    assert (kernel_of(one) != kernel_of(other)).mean() > 0.99
    assert other.key != one.key


def test_a_set_that_nobody_made_is_named(tmp_path):
    config = get_config()
    with pytest.raises(ValueError, match=r"mst_jax\.prepare grabcut"):
        open_data(config, name="grabcut", data_dir=str(tmp_path))


def with_teacher(path):
    config = get_config()
    with config.unlocked():
        config.losses = dict(distillation=1.0)
        config.teacher = str(path)
    return config


def test_a_teacher_is_part_of_the_state_and_stays_as_it_is(tmp_path):
    path = write_checkpoint(tmp_path / "teacher")
    run = build_run(with_teacher(path))
    want = load(path)
    assert run.state.teacher.config == want.config
    batch = tiny_batch(2, side=32)
    batch = {k: np.asarray(x) for k, x in vars(batch).items() if x is not None}
    state, metrics = run.update(run.state, put_batch(run.layout, batch))
    jax.tree.map(
        np.testing.assert_array_equal, state.teacher.params, jax.device_get(want.params)
    )
    assert metrics["distillation"] > 1e-3


def test_a_teacher_is_put_on_every_device(tmp_path):
    program = (
        "import sys, jax\n"
        "from mst_jax.training.setup import build_run\n"
        "from tests.training.test_setup import with_teacher\n"
        "teacher = build_run(with_teacher(sys.argv[1])).state.teacher\n"
        "print({len(x.devices()) for x in jax.tree.leaves(teacher)})\n"
    )
    path = write_checkpoint(tmp_path / "teacher")
    call = [sys.executable, "-c", program, str(path)]
    env = os.environ | {"JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}
    told = subprocess.run(call, capture_output=True, text=True, env=env)
    assert told.stdout == "{2}\n", told.stderr


def test_a_teacher_that_cannot_look_at_the_crops_is_one_sentence(tmp_path):
    config = with_teacher(write_checkpoint(tmp_path / "teacher"))
    config.crop = 24
    with pytest.raises(
        ValueError, match=r"config\.teacher .*teacher cannot look: .*24"
    ):
        build_run(config)


def test_a_teacher_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"gone"):
        build_run(with_teacher(tmp_path / "gone"))
