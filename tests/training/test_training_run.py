"""The parts of a run follow from its config; `test_train` tests a whole run."""

import os
import subprocess
import sys

import flax.linen as nn
import jax
import numpy as np
import pytest

from mst_jax.models.click_model import ClickModel
from mst_jax.models.load import load
from mst_jax.training.config import check_config
from mst_jax.training.sharding import shard_batch
from mst_jax.training.training_run import (
    build_run,
    init_run,
    plan_run,
    plan_state,
)
from tests.helpers.small_checkpoint import write_checkpoint
from tests.helpers.tiny_config import config_with_teacher, get_config
from tests.helpers.tiny_models import tiny_batch


def mlp_kernel(state):
    return state.params["backbone"]["block0"]["mlp"]["out"]["kernel"]


def test_the_first_state_follows_from_config_and_seed():
    config = get_config()
    first, second = build_run(config).state, build_run(config).state
    jax.tree.map(np.testing.assert_array_equal, first.params, second.params)
    config.seed = 1
    reseeded = build_run(config).state
    assert (mlp_kernel(first) != mlp_kernel(reseeded)).mean() > 0.99
    assert reseeded.key != first.key


def test_the_plan_of_a_run_computes_nothing():
    """Shapes are those of the run; no array is made before `init_run`."""
    plan = plan_run(check_config(get_config()))
    state_plan = plan_state(plan)
    leaves = jax.tree.leaves(state_plan.shapes)
    assert leaves and all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
    state = init_run(plan, state_plan).state
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state_plan.shapes
    )


def test_the_model_is_traced_once_for_shapes_and_first_state():
    calls = []

    def count_calls(next_fn, args, kwargs, context):
        if isinstance(context.module, ClickModel) and context.method_name == "__call__":
            calls.append(context.module)
        return next_fn(*args, **kwargs)

    config = get_config()
    with nn.intercept_methods(count_calls):
        build_run(config)
    assert len(calls) == 1


@pytest.mark.slow
def test_a_teacher_is_part_of_the_state_and_never_changes(tmp_path):
    path = write_checkpoint(tmp_path / "teacher")
    run = build_run(config_with_teacher(path))
    expected = load(path)
    assert run.state.teacher.config == expected.config
    batch = tiny_batch(2, side=32)
    batch = {name: np.asarray(x) for name, x in vars(batch).items() if x is not None}
    state, metrics = run.train_step(run.state, shard_batch(run.layout, batch))
    expected_params = jax.device_get(expected.params)
    jax.tree.map(np.testing.assert_array_equal, state.teacher.params, expected_params)
    assert metrics["distillation"] > 1e-3


@pytest.mark.slow
def test_a_teacher_is_replicated_on_every_device(tmp_path):
    program = (
        "import sys, jax\n"
        "from mst_jax.training.training_run import build_run\n"
        "from tests.helpers.tiny_config import config_with_teacher\n"
        "teacher = build_run(config_with_teacher(sys.argv[1])).state.teacher\n"
        "print({len(x.devices()) for x in jax.tree.leaves(teacher)})\n"
    )
    path = write_checkpoint(tmp_path / "teacher")
    command = [sys.executable, "-c", program, str(path)]
    variables = os.environ | {"JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}
    process = subprocess.run(command, capture_output=True, text=True, env=variables)
    assert process.stdout == "{2}\n", process.stderr


def test_a_teacher_that_does_not_fit_the_crops_is_one_sentence(tmp_path):
    config = config_with_teacher(write_checkpoint(tmp_path / "teacher"))
    config.crop = 24
    with pytest.raises(
        ValueError, match=r"config\.teacher .*teacher cannot be applied to .*24"
    ):
        build_run(config)


def test_a_missing_teacher_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"gone"):
        build_run(config_with_teacher(tmp_path / "gone"))
