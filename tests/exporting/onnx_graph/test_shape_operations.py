import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from tests.helpers.onnx_functions import assert_same_as_onnx

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.broadcast_to(x[:, :, None], (2, 3, 5, 4)),
        lambda x: (x.reshape(6, 4), x.reshape(-1), x[:, :1].squeeze(1)),
        lambda x: (x.transpose(2, 0, 1), jnp.moveaxis(x, -1, 0) + 1),
        lambda x: (jnp.concatenate([x, -x], axis=1), jnp.stack([x, 2 * x], axis=2)),
        lambda x: tuple(jnp.split(x, [1, 3], axis=-1)),
        lambda x: (x[:, 1:], x[..., ::2], x[:, ::-1], x[1], x[..., -1]),
        lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 3)), constant_values=7.0),
        lambda x: (
            x
            + jnp.arange(4)[None, None]
            + jax.lax.broadcasted_iota(jnp.float32, x.shape, 1)
        ),
        lambda x: tuple(jnp.unstack(x, axis=1)),
        lambda x: jnp.zeros_like(x),
    ],
)
def test_static_sizes(function):
    assert_same_as_onnx(function, X)


def test_symbolic_sizes():
    b, k = export.symbolic_shape("b, k")
    struct = jax.ShapeDtypeStruct((b, k, 4), jnp.float32)

    def function(x):
        b, k, _ = x.shape
        numbers = jnp.arange(k)[None, :, None] * jnp.ones((b, k, 1))
        merged = x.reshape(b * k, 4)
        return (
            x.reshape(b, k * 2, 2),
            merged[:, 1:3],
            x[..., 0],
            x[:, ::-1] + numbers,
            jnp.broadcast_to(jnp.zeros(()), (b, 2 * k)),
            jnp.asarray(k - 1) + jnp.asarray(2 * b + 1),
        )

    for num_examples in (1, 3):
        array = np.random.default_rng(0).random((num_examples, 5, 4), np.float32)
        assert_same_as_onnx(function, array, structs=[struct])
