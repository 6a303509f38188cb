"""The two-layer perceptron of a transformer block."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.layers.dense import Dense


def exact_gelu(x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
    """Compute GELU with the error function, as in every published ViT.

    Values are computed in float32 and rounded once to the dtype of x. `jax.nn.gelu` uses
    the complementary error function instead, which takes 2 (float32) to 3 times
    (bfloat16) as long on a CPU.

    Args:
        x: [*b c] values of any float dtype, which the result has, too.
    """
    x_float32 = x.astype(jnp.float32)
    normal_cdf = 0.5 * (1 + jax.lax.erf(x_float32 * math.sqrt(0.5)))
    return (x_float32 * normal_cdf).astype(x.dtype)


class MLP(nn.Module):
    """Two dense layers with an activation between them; the width does not change.

    Attributes:
        hidden_width: Number of channels between the layers.
        dtype: Compute dtype of the matrix products.
        activation: Elementwise function between the layers.
    """

    hidden_width: int
    dtype: DTypeLike = jnp.float32
    activation: Callable[[Array], Array] = exact_gelu

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Return the update of each token, without the residual connection.

        Args:
            x: [*b c] tokens.
        """
        hidden = Dense(self.hidden_width, dtype=self.dtype, name="hidden")(x)
        # The width of the output comes from the input: a residual update fits anywhere.
        project_output = Dense(x.shape[-1], dtype=self.dtype, name="out")
        return project_output(self.activation(hidden))
