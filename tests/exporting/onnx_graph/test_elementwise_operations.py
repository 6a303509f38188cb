import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.onnx_functions import assert_same_as_onnx

X = np.array([[-2.5, -1.0, 0.0], [0.4, 1.0, 3.75]], np.float32)
Y = np.array([[1.0, -1.0, 2.0], [0.4, 7.0, -3.0]], np.float32)
WHOLE = np.array([[7, -7, 3], [0, 5, -1]], np.int32)
DIVISOR = np.array([[2, 2, -3], [4, 5, 3]], np.int32)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x + y - 2 * x * y / (y + 10),
        lambda x, y: jnp.maximum(x, y) - jnp.minimum(x, 0.5),
        lambda x, y: jnp.exp(x) + jnp.log(jnp.abs(y)) + jnp.sqrt(jnp.abs(x)),
        lambda x, y: jax.nn.gelu(x, approximate=False) + jax.nn.relu(y),
        lambda x, y: jax.nn.sigmoid(x) + jnp.tanh(y) + jnp.sign(x) + jnp.square(y),
        lambda x, y: jax.lax.rsqrt(jnp.abs(y)) + jax.lax.erf(x) + jax.lax.erfc(y),
        lambda x, y: jnp.floor(x) + jnp.ceil(y) + x**3 + jnp.clip(x, -1, 1),
        lambda x, y: jnp.where((x < y) & (x != 0) | ~(y >= 1), x, -y),
        lambda x, y: (x == y, x <= y, x > y, (x > 0) ^ (y > 0), jnp.isfinite(x)),
        lambda x, y: jax.lax.stop_gradient(x).astype(jnp.int32) + (y > 0),
        lambda x, y: jax.lax.clamp(np.float32(-1), x, np.float32(2)),
    ],
)
def test_floats(function):
    assert_same_as_onnx(function, X, Y)


def test_whole_number_division_has_the_signs_of_jax():
    assert_same_as_onnx(
        lambda x, y: (x // y, x % y, jax.lax.rem(x, y), jax.lax.div(x, y)),
        *(WHOLE, DIVISOR),
    )


def test_uint8_becomes_float():
    pixels = np.array([[0, 1, 255]], np.uint8)
    assert_same_as_onnx(lambda x: x.astype(jnp.float32) / 255.0, pixels)


def test_broadcast_operands():
    assert_same_as_onnx(
        lambda x, y: x[:, None] + y[None] * jnp.arange(3.0)[None, None], X, Y
    )
