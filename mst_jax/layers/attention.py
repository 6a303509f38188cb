"""Multi-head attention from one set of tokens to another."""

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from mst_jax.layers.dense import Dense
from mst_jax.layers.dot_product_attention import dot_product_attention


class MultiHeadAttention(nn.Module):
    """Multi-head scaled dot-product attention; self-attention if both inputs are equal.

    Source: Vaswani et al., Attention Is All You Need, NeurIPS 2017, Section 3.2.

    Attributes:
        num_heads: Number of attention heads; must divide the width of `inputs_q`.
        dtype: Compute dtype of the matrix products; the softmax is float32. In bfloat16,
            accelerators use the kernels of `layers.dot_product_attention`.
        use_bias: Whether the query, key and value projections have a bias. The output
            projection always has one.
        use_output_projection: Whether a dense layer mixes the heads. False returns the
            concatenated heads.
    """

    num_heads: int
    dtype: DTypeLike = jnp.float32
    use_bias: bool = True
    use_output_projection: bool = True

    @nn.compact
    def __call__(
        self,
        inputs_q: Float[Array, "b n c"],
        inputs_k: Float[Array, "b m c"],
        *,
        inputs_v: Float[Array, "b m c"] | None = None,
        blocked: Bool[Array, "b #n m"] | None = None,
    ) -> Float[Array, "b n c"]:
        """Compute one weighted mean of the values for each query token.

        Args:
            inputs_q: [b n c] tokens that the queries are made from.
            inputs_k: [b m c] tokens that the keys are made from.
            inputs_v: [b m c] tokens that the values are made from, where they differ
                from `inputs_k` (such as the keys without position embedding).
            blocked: [b n m] True where a query must not attend to a key; None blocks
                nothing. A query with all keys blocked returns the mean of the values.

        Returns:
            [b n c] the attended values.

        Raises:
            ValueError: The width is not a multiple of `num_heads`.
        """
        width = inputs_q.shape[-1]
        if width % self.num_heads:
            raise ValueError(
                f"{self.num_heads} heads do not divide the width {width}; "
                "choose a width that is a multiple of the number of heads"
            )

        def project_heads(name: str, tokens: Array) -> Float[Array, "b a n d"]:
            head_shape = (self.num_heads, width // self.num_heads)
            project_tokens = Dense(
                head_shape, dtype=self.dtype, use_bias=self.use_bias, name=name
            )
            return rearrange(project_tokens(tokens), "b n a d -> b a n d")

        query = project_heads("query", inputs_q)
        key = project_heads("key", inputs_k)
        value = project_heads("value", inputs_k if inputs_v is None else inputs_v)
        attended_values = dot_product_attention(query, key, value, blocked=blocked)
        if not self.use_output_projection:
            return rearrange(attended_values, "b n a d -> b n (a d)")
        # Mix the heads.
        project_output = Dense(width, axis=(-2, -1), dtype=self.dtype, name="out")
        return project_output(attended_values)
