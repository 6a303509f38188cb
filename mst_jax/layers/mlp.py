"""Two dense layers."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.layers.dense import Dense


def exact_gelu(x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
    """GELU by the error function, as in every published ViT."""
    return nn.gelu(x, approximate=False)


class MLP(nn.Module):
    """Two dense layers with a function between them; keeps the width.

    Attributes:
        hidden: width between the layers.
        dtype: of the products.
        activation: the function between the layers, element by element.
    """

    hidden: int
    dtype: DTypeLike = jnp.float32
    activation: Callable[[Array], Array] = exact_gelu

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Returns an update of the same width."""
        hidden = Dense(self.hidden, dtype=self.dtype, name="hidden")(x)
        return Dense(x.shape[-1], dtype=self.dtype, name="out")(self.activation(hidden))
