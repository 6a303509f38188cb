"""The programs of every recipe can be lowered for TPUs and GPUs, without one.

All attention in bfloat16 is computed by kernels here, although the models are tiny.
"""

import functools

import jax
import jax.numpy as jnp
import pytest

from mst_jax.evaluation.protocol import EvaluationProtocol, run_sessions
from mst_jax.inference.compiled_prediction import predict_prob
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.layers import dot_product_attention
from mst_jax.models.build import build
from mst_jax.models.load import parameter_shapes
from mst_jax.structs import Clicks
from mst_jax.training.config import check_config
from mst_jax.training.startup.step_program import trace_train_step
from mst_jax.training.training_run import plan_run, plan_state
from tests.helpers.tiny_config import get_config
from tests.helpers.tiny_models import TINY_MODELS, published_losses

PLATFORMS = ("tpu", "cuda")
IMAGE_SIDE = 64
ZOOM = ZoomOptions(size=IMAGE_SIDE, min_side=16, flip_tta=True, max_growths=1)

# It has the parts of all others but the head of SimpleClick.
LARGEST_RECIPE = "mst_adaptive"


def recipes(*in_default_suite):
    """Run a test with every recipe, all but the named ones in the slow tests."""
    return pytest.mark.parametrize(
        "recipe",
        [
            pytest.param(
                name, marks=() if name in in_default_suite else pytest.mark.slow
            )
            for name in TINY_MODELS
        ],
    )


@pytest.fixture(autouse=True)
def kernels_for_few_tokens(monkeypatch):
    monkeypatch.setattr(dot_product_attention, "MIN_KERNEL_LOGITS", 0)
    monkeypatch.setattr(dot_product_attention, "MIN_KERNEL_TOKENS", 1)
    jax.clear_caches()
    yield
    jax.clear_caches()


def check_lowering(traced):
    """Lower for both platforms; the program for TPUs contains kernels."""
    for platform in PLATFORMS:
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("tpu_custom_call" in text) == (platform == "tpu")


def tiny_model(recipe):
    """Model as a function of its parameters, and their shapes.

    It has one layer of each kind; the second ones are lowered in the training step.
    """
    options = TINY_MODELS[recipe] | dict(depth=1)
    if "mask_decoder" in options:
        options["mask_decoder"] = options["mask_decoder"] | dict(num_layers=1)
    module = build(recipe, dtype="bfloat16", **options)

    def predict_logits(params, *inputs):
        return module.apply({"params": params}, *inputs).logits

    shapes = parameter_shapes(module)
    return jax.tree_util.Partial(predict_logits, shapes)


def shape_of(*shape, dtype=jnp.bool_):
    return jax.ShapeDtypeStruct(shape, dtype)


@recipes(LARGEST_RECIPE, "simpleclick")
def test_training_step_can_be_lowered(recipe):
    config = get_config()
    with config.unlocked():
        config.batch, config.crop = 1, IMAGE_SIDE
        # In loops; the other programs are lowered without.
        model_options = dict(dtype="bfloat16", scan=True) | TINY_MODELS[recipe]
        config.model = dict(name=recipe, **model_options)
        config.losses = published_losses(recipe)
        config.clicks.max_rounds = 1
    plan = plan_run(check_config(config))
    check_lowering(trace_train_step(plan, plan_state(plan)))


@recipes(LARGEST_RECIPE)
def test_evaluation_program_can_be_lowered(recipe):
    protocol = EvaluationProtocol(max_clicks=2, zoom=ZOOM)
    image_shape = (1, IMAGE_SIDE, IMAGE_SIDE)
    traced = jax.jit(functools.partial(run_sessions, protocol=protocol)).trace(
        tiny_model(recipe),
        shape_of(*image_shape, 3, dtype=jnp.uint8),
        shape_of(1, 2, dtype=jnp.int32),
        shape_of(*image_shape),
        shape_of(*image_shape),
        shape_of(1, dtype=jnp.int32),
        0.9,
    )
    check_lowering(traced)


@recipes(LARGEST_RECIPE)
def test_predictor_program_can_be_lowered(recipe):
    image_shape = (1, IMAGE_SIDE, IMAGE_SIDE)
    traced = predict_prob.trace(
        tiny_model(recipe),
        shape_of(*image_shape, 3, dtype=jnp.uint8),
        shape_of(1, 2, dtype=jnp.int32),
        Clicks(
            yx=shape_of(1, 24, 2, dtype=jnp.float32),
            label=shape_of(1, 24, dtype=jnp.int32),
        ),
        shape_of(*image_shape, dtype=jnp.float32),
        shape_of(1, 4, dtype=jnp.int32),
        zoom=ZOOM,
        is_roi_given=False,
    )
    check_lowering(traced)
