"""bfloat16 is for matrix products; parameters, sums and norms are float32."""

import re

import jax
import jax.numpy as jnp
import pytest

from mst_jax.losses.total_loss import total_loss
from mst_jax.models.build import build
from mst_jax.models.load import parameter_shapes
from mst_jax.structs import Clicks
from mst_jax.training.optimizer import OptimizerOptions, make_optimizer
from mst_jax.training.train_state import init_train_state
from mst_jax.training.train_step import ClickSimulationOptions, make_train_step
from tests.helpers.tiny_models import TINY_MODELS, published_losses, tiny_batch

# Softmax, sigmoid, losses, norms, distances and selections are made of these.
EXACT_OPERATIONS = {
    *("exp", "exp2", "log", "log1p", "rsqrt", "sqrt", "logistic", "div"),
    *("top_k", "sort", "argmax", "argmin", "cumsum", "reduce_max", "pow"),
}

# Name scopes of products that are float32 for every compute dtype: the embeddings that
# all blocks add to, resizing, token selection, the sampling points and sums of
# deformable attention, the masks and classes that a decoder decides by, and the costs
# of matching.
FLOAT32_PRODUCTS = re.compile(
    r"embed/|(^|/)resize(/|$)|insertions_\d/(insertions_\d\._select_scale/)?vmap\("
    r"|/attention/(offsets|weights)$|(bnkd,bnk->bnd|bnk,ke->bne|bne,ed->bnd)$"
    r"|decoder/(heads/|logits$|b\.\.\.d,|\.\.\.q,)|vmap\(qn,tn->qt\)"
)


def all_equations(jaxpr):
    """All operations of a program, including those of its inner programs."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for item in value if isinstance(value, tuple | list) else (value,):
                inner_jaxpr = getattr(item, "jaxpr", item)
                if hasattr(inner_jaxpr, "eqns"):
                    yield from all_equations(inner_jaxpr)


def is_bfloat16(variable):
    return getattr(variable.aval, "dtype", None) == jnp.bfloat16


# It has the parts of all others.
LARGEST_RECIPE = "mst_adaptive"
RECIPES = [
    pytest.param(name, marks=() if name == LARGEST_RECIPE else pytest.mark.slow)
    for name in TINY_MODELS
]


@pytest.fixture(scope="module", params=RECIPES)
def bfloat16_model(request):
    """Name of a recipe and its module in bfloat16."""
    name = request.param
    options = TINY_MODELS[name] | {"depth": 1}
    return name, build(name, dtype="bfloat16", **options)


def test_products_are_bfloat16_and_exact_operations_are_float32(bfloat16_model):
    name, module = bfloat16_model
    batch = tiny_batch(2)
    image = batch.image / 255.0

    def loss_of(params):
        clicks = Clicks.empty(2, num_slots=1)
        outputs = module.apply({"params": params}, image, clicks, image[..., 0])
        return total_loss(outputs, batch, losses=published_losses(name))

    program = jax.make_jaxpr(loss_of)(parameter_shapes(module))
    equations = list(all_equations(program.jaxpr))
    products = {True: set(), False: set()}
    for equation in equations:
        if equation.primitive.name == "dot_general":
            in_bfloat16 = all(map(is_bfloat16, equation.invars))
            products[in_bfloat16].add(str(equation.source_info.name_stack))
    assert products[True]
    unexpected = {
        scope for scope in products[False] if not FLOAT32_PRODUCTS.search(scope)
    }
    assert not unexpected, sorted(unexpected)
    unexpected = {
        (
            equation.primitive.name,
            str(equation.source_info.name_stack),
            str(equation.invars[0].aval),
        )
        for equation in equations
        if equation.primitive.name in EXACT_OPERATIONS
        and any(map(is_bfloat16, equation.invars))
    }
    assert not unexpected, sorted(unexpected)


def test_training_state_and_metrics_are_float32(bfloat16_model):
    name, module = bfloat16_model
    options = OptimizerOptions(learning_rate=0.1, weight_decay=0.1)
    optimizer, schedule = make_optimizer(options, num_steps=10)
    train_step = make_train_step(
        module,
        optimizer,
        schedule,
        published_losses(name),
        ClickSimulationOptions(max_initial=1, max_rounds=1),
        ema_decay=0.9,
    )

    def init_state():
        shapes = parameter_shapes(module)
        params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return init_train_state(params, optimizer, jax.random.key(0), with_ema=True)

    state, metrics = jax.eval_shape(
        train_step, jax.eval_shape(init_state), tiny_batch(2)
    )
    for leaf in jax.tree.leaves((state, metrics)):
        assert leaf.dtype != jnp.bfloat16
    for leaf in jax.tree.leaves((state.params, state.ema_params, metrics)):
        assert leaf.dtype == jnp.float32


def test_outputs_that_losses_use_are_float32(bfloat16_model):
    _, module = bfloat16_model
    image_shape = (1, 64, 64)

    def apply(params):
        image, clicks = jnp.zeros((*image_shape, 3)), Clicks.empty(1, num_slots=1)
        return module.apply({"params": params}, image, clicks, jnp.zeros(image_shape))

    outputs = jax.eval_shape(apply, parameter_shapes(module))
    assert outputs.logits.dtype == jnp.float32
    for leaf in jax.tree.leaves(outputs.queries):
        assert leaf.dtype == jnp.float32
    for selection in outputs.selections:
        assert selection.fine.scores.dtype == jnp.float32
        assert selection.coarse.scores.dtype == jnp.float32
