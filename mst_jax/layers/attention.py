"""Attention between two sets of tokens."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float


class Attention(nn.Module):
    """Multi-head attention: each token of `x` gathers from the tokens of `memory`.

    Source: Vaswani et al., Attention Is All You Need, NeurIPS 2017, Section 3.2.

    Attributes:
        num_heads: must divide the width of `x`.
        dtype: of the products; the softmax is float32.
    """

    num_heads: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n c"],
        memory: Float[Array, "b m c"],
        *,
        blocked: Bool[Array, "b #n m"] | None = None,
    ) -> Float[Array, "b n c"]:
        """Gathers; `blocked` is True where a token of x must not look (default: nowhere).

        Raises:
            ValueError: the width is not a multiple of `num_heads`.
        """
        width = x.shape[-1]
        if width % self.num_heads:
            raise ValueError(
                f"{self.num_heads} heads do not divide the width {width}; "
                "choose a width that is a multiple of the number of heads"
            )

        def heads(name: str) -> nn.DenseGeneral:
            shape = (self.num_heads, width // self.num_heads)
            return nn.DenseGeneral(shape, dtype=self.dtype, name=name)

        gathered = jax.nn.dot_product_attention(
            heads("query")(x),
            heads("key")(memory),
            heads("value")(memory),
            mask=None if blocked is None else ~blocked[:, None],
        )
        return nn.DenseGeneral(width, axis=(-2, -1), dtype=self.dtype, name="out")(
            gathered
        )
