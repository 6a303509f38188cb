"""Two dense layers."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class MLP(nn.Module):
    """Two dense layers with an exact (erf) GELU between them; keeps the width.

    Attributes:
        hidden: width between the layers.
        dtype: of the products.
    """

    hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Returns an update of the same width."""
        hidden = nn.Dense(self.hidden, dtype=self.dtype, name="hidden")(x)
        hidden = nn.gelu(hidden, approximate=False)
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="out")(hidden)
