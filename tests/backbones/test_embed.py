import jax
import jax.numpy as jnp
import numpy as np

from mst_jax.backbones.embed import ClickEmbed
from mst_jax.structs import Clicks

NO_CLICKS = Clicks.empty(1, num_slots=1)


def test_the_mean_picture_without_hints_is_the_bias():
    mean = jnp.asarray([0.485, 0.456, 0.406])[None, None, None]
    image = jnp.broadcast_to(mean, (1, 4, 4, 3))
    module = ClickEmbed(width=6, patch=4)
    variables = module.init(jax.random.key(0), image, jnp.zeros_like(image), NO_CLICKS)
    params = variables["params"]
    params["image"]["bias"] = jnp.arange(6.0)
    params["hints"]["bias"] = jnp.full(6, 10.0)
    tokens, lent = module.apply(variables, image, jnp.zeros_like(image), NO_CLICKS)
    np.testing.assert_allclose(tokens[0, 0, 0], 10 + np.arange(6.0), atol=1e-6)
    assert lent == ()


def test_one_deviation_is_one_unit_and_hints_are_added():
    image = jnp.asarray([0.485 + 0.229, 0.456, 0.406])[None, None, None]
    hints = jnp.asarray([0.0, 1.0, 0.0])[None, None, None]
    module = ClickEmbed(width=3, patch=1)
    variables = module.init(jax.random.key(0), image, hints, NO_CLICKS)
    params = variables["params"]
    params["image"]["kernel"] = jnp.eye(3)[None, None]
    params["hints"]["kernel"] = 5 * jnp.eye(3)[None, None]
    tokens, _ = module.apply(variables, image, hints, NO_CLICKS)
    np.testing.assert_allclose(tokens[0, 0, 0], [1, 5, 0], atol=1e-6)
