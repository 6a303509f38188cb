import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.dense import Dense, bfloat16_product, dot_general_as_matmul


@pytest.mark.parametrize(
    ("row_shape", "contracted_shape", "column_shape"),
    [
        ((5,), (3,), (4,)),
        ((2, 3, 4), (5,), (2, 3)),
        ((2, 3), (4, 2), (5,)),
        ((), (3,), ()),
    ],
)
def test_product_matches_tensordot(rng, row_shape, contracted_shape, column_shape):
    inputs = jnp.asarray(rng.normal(size=(*row_shape, *contracted_shape)), jnp.float32)
    kernel = jnp.asarray(
        rng.normal(size=(*contracted_shape, *column_shape)), jnp.float32
    )
    num_contracted = len(contracted_shape)
    contracted_axes = (
        tuple(range(inputs.ndim - num_contracted, inputs.ndim)),
        tuple(range(num_contracted)),
    )
    actual = dot_general_as_matmul(inputs, kernel, (contracted_axes, ((), ())))
    expected = np.tensordot(inputs, kernel, axes=contracted_axes)
    assert actual.shape == (*row_shape, *column_shape)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layer_options", [dict(features=(2, 3)), dict(features=4, axis=(-2, -1))]
)
def test_parameters_and_gradients_equal_those_of_flax(rng, layer_options):
    inputs = jnp.asarray(rng.normal(size=(2, 3, 4, 5)), jnp.float32)
    our_layer, flax_layer = Dense(**layer_options), nn.DenseGeneral(**layer_options)
    variables = our_layer.init(jax.random.key(0), inputs)
    jax.tree.map(
        np.testing.assert_array_equal,
        variables,
        flax_layer.init(jax.random.key(0), inputs),
    )

    def gradients_of(layer):
        def loss(variables, inputs):
            return jnp.square(layer.apply(variables, inputs)).sum()

        return jax.grad(loss, (0, 1))(variables, inputs)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        gradients_of(our_layer),
        gradients_of(flax_layer),
    )


@pytest.mark.parametrize("num_rows", [1, 2, 7, 64])
def test_gradients_of_the_bfloat16_product_are_those_of_the_plain_product(
    rng, num_rows
):
    rows, kernel, gradient = (
        jnp.asarray(rng.normal(size=size), jnp.bfloat16)
        for size in ((num_rows, 5), (5, 3), (num_rows, 3))
    )
    product, pull_back = jax.vjp(bfloat16_product, rows, kernel)
    expected, pull_back_plain = jax.vjp(jnp.matmul, rows, kernel)
    np.testing.assert_array_equal(product, expected)
    for actual, plain in zip(
        pull_back(gradient), pull_back_plain(gradient), strict=True
    ):
        assert actual.dtype == jnp.bfloat16
        # The order of a sum may differ by one rounding to 8 bits.
        np.testing.assert_allclose(
            actual.astype(jnp.float32), plain.astype(jnp.float32), rtol=2**-7, atol=1e-2
        )


@pytest.mark.parametrize("is_fast", [False, True])
def test_transposed_copies_are_only_for_cpus_with_fast_bfloat16(monkeypatch, is_fast):
    monkeypatch.setattr("mst_jax.layers.dense.has_fast_bfloat16", lambda: is_fast)
    layer = Dense(features=4, dtype=jnp.bfloat16)
    inputs = jnp.ones((2, 6, 3))
    variables = layer.init(jax.random.key(0), inputs)
    gradient = jax.jit(jax.grad(lambda v: layer.apply(v, inputs).sum()))
    for platform, expected in (("cpu", is_fast), ("tpu", False), ("cuda", False)):
        lowered = gradient.trace(variables).lower(lowering_platforms=(platform,))
        assert ("concatenate" in lowered.as_text()) == expected
