import dataclasses

import jax
import numpy as np
import pytest

from mst_jax.training.config import check_config
from mst_jax.training.sharding import ShardingOptions
from mst_jax.training.startup.step_program import step_shapes, trace_train_step
from mst_jax.training.training_run import plan_run, plan_state
from tests.helpers.tiny_config import get_config


@pytest.mark.parametrize(
    ("transform", "leading_shape"), [("jit", (2,)), ("pmap", (1, 2))]
)
def test_shapes_are_those_of_a_batch_and_the_state(transform, leading_shape):
    options = check_config(get_config())
    options = dataclasses.replace(options, sharding=ShardingOptions(transform))
    plan = plan_run(options, jax.devices()[:1])
    state_plan = plan_state(plan)
    state, batch = step_shapes(plan, state_plan)
    assert batch.image.shape == (*leading_shape, 32, 32, 3)
    assert batch.image.dtype == np.uint8 and batch.target.dtype == bool
    assert batch.target.shape == batch.valid.shape == (*leading_shape, 32, 32)
    assert (batch.image.sharding is None) == (transform == "pmap")
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state_plan.shapes
    )


def test_traced_step_returns_the_next_state():
    plan = plan_run(check_config(get_config()), jax.devices()[:1])
    state_plan = plan_state(plan)
    traced = trace_train_step(plan, state_plan)
    next_state, metrics = traced.out_info
    assert jax.tree.map(lambda leaf: leaf.shape, next_state) == jax.tree.map(
        lambda leaf: leaf.shape, state_plan.shapes
    )
    assert metrics["loss"].shape == ()
