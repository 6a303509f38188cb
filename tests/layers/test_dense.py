import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.dense import Dense, flat_product


@pytest.mark.parametrize(
    ("rows", "inner", "columns"),
    [
        ((5,), (3,), (4,)),
        ((2, 3, 4), (5,), (2, 3)),
        ((2, 3), (4, 2), (5,)),
        ((), (3,), ()),
    ],
)
def test_the_product_is_its_definition(rng, rows, inner, columns):
    x = jnp.asarray(rng.normal(size=(*rows, *inner)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(*inner, *columns)), jnp.float32)
    n = len(inner)
    axes = (tuple(range(x.ndim - n, x.ndim)), tuple(range(n)))
    got = flat_product(x, kernel, (axes, ((), ())))
    want = np.tensordot(x, kernel, axes=axes)
    assert got.shape == (*rows, *columns)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "width", [dict(features=(2, 3)), dict(features=4, axis=(-2, -1))]
)
def test_parameters_and_gradients_are_those_of_flax(rng, width):
    x = jnp.asarray(rng.normal(size=(2, 3, 4, 5)), jnp.float32)
    ours, theirs = Dense(**width), nn.DenseGeneral(**width)
    variables = ours.init(jax.random.key(0), x)
    jax.tree.map(
        np.testing.assert_array_equal, variables, theirs.init(jax.random.key(0), x)
    )

    def gradients(module):
        return jax.grad(lambda v, x: jnp.square(module.apply(v, x)).sum(), (0, 1))(
            variables, x
        )

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        gradients(ours),
        gradients(theirs),
    )
