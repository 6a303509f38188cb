"""bfloat16 is for products: what is kept, summed, compared and normed is float32."""

import re

import jax
import jax.numpy as jnp
import pytest

from mst_jax.losses.total_loss import total_loss
from mst_jax.models.build import build
from mst_jax.models.load import shapes_of_params
from mst_jax.structs import Clicks
from mst_jax.training.optimizer import make_optimizer
from mst_jax.training.train_state import start_state
from mst_jax.training.train_step import make_step
from tests.helpers.tiny_models import TINY, recipe_losses, tiny_batch

# Softmax, sigmoid, losses, norms, distances and choices are made of these.
EXACT = {"exp", "exp2", "log", "log1p", "rsqrt", "sqrt", "logistic", "div"} | {
    *("top_k", "sort", "argmax", "argmin", "cumsum", "reduce_max", "pow")
}

# Products that are float32 all the same: the embeddings that all blocks add to, resizing,
# the choice of tokens, where deformable attention samples and its sums, the masks and
# classes that a decoder decides by, and the costs of matching.
FLOAT32 = re.compile(
    r"embed/|\.\.\.hwc,\w+->|insertions_\d/vmap\(|/attention/(offsets|weights)$"
    r"|bnkd,bnk->bnd$|decoder/(heads/|logits$|b\.\.\.d,|\.\.\.q,)|vmap\(qn,tn->qt\)"
)


def operations(jaxpr):
    """All operations of a program, those of its parts among them."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from operations(inner)


def is_half(variable):
    return getattr(variable.aval, "dtype", None) == jnp.bfloat16


# It has the parts of all others.
WHOLE = "mst_adaptive"
RECIPES = [
    pytest.param(name, marks=() if name == WHOLE else pytest.mark.slow) for name in TINY
]


@pytest.fixture(scope="module", params=RECIPES)
def recipe(request):
    """A recipe's name and its module in bfloat16."""
    return request.param, build(request.param, dtype="bfloat16", **TINY[request.param])


def test_products_are_bfloat16_and_what_must_be_exact_is_not(recipe):
    """Of the loss, not of its gradient: GELU's slope, bfloat16 as GELU is, has an exp."""
    name, module = recipe
    batch = tiny_batch(2)
    image = batch.image / 255.0

    def loss_of(params):
        clicks = Clicks.empty(2, num_slots=1)
        outputs = module.apply({"params": params}, image, clicks, image[..., 0])
        return total_loss(outputs, batch, losses=recipe_losses(name))

    found = list(operations(jax.make_jaxpr(loss_of)(shapes_of_params(module)).jaxpr))
    products = {True: set(), False: set()}
    for x in found:
        if x.primitive.name == "dot_general":
            half = all(map(is_half, x.invars))
            products[half].add(str(x.source_info.name_stack))
    assert products[True]
    wrong = {name for name in products[False] if not FLOAT32.search(name)}
    assert not wrong, sorted(wrong)
    wrong = {
        (x.primitive.name, str(x.source_info.name_stack), str(x.invars[0].aval))
        for x in found
        if x.primitive.name in EXACT and any(map(is_half, x.invars))
    }
    assert not wrong, sorted(wrong)


def test_all_that_is_kept_and_told_is_float32(recipe):
    name, module = recipe
    optimizer, schedule = make_optimizer(10, learning_rate=0.1, weight_decay=0.1)
    update = make_step(
        module, optimizer, schedule, recipe_losses(name), 1, 0.9, max_rounds=1
    )

    def start():
        shapes = shapes_of_params(module)
        params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return start_state(params, optimizer, jax.random.key(0), averages=True)

    state, metrics = jax.eval_shape(update, jax.eval_shape(start), tiny_batch(2))
    for leaf in jax.tree.leaves((state, metrics)):
        assert leaf.dtype != jnp.bfloat16
    for leaf in jax.tree.leaves((state.params, state.average, metrics)):
        assert leaf.dtype == jnp.float32


def test_what_the_model_says_is_float32_where_losses_look(recipe):
    _, module = recipe
    shape = (1, 64, 64)
    outputs = jax.eval_shape(
        lambda params: module.apply(
            {"params": params},
            jnp.zeros((*shape, 3)),
            Clicks.empty(1, num_slots=1),
            jnp.zeros(shape),
        ),
        shapes_of_params(module),
    )
    assert outputs.logits.dtype == jnp.float32
    for leaf in jax.tree.leaves(outputs.queries):
        assert leaf.dtype == jnp.float32
    for choice in outputs.choices:
        assert choice.fine.scores.dtype == choice.coarse.scores.dtype == jnp.float32
