"""How much does each fine or coarse token look like what was clicked?"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from mst_jax.layers.attention import Attention
from mst_jax.layers.mlp import MLP
from mst_jax.layers.norms import PYTORCH_EPS, LayerNorm
from mst_jax.layers.patchify import Patchify

HIGHEST = jax.lax.Precision.HIGHEST


def click_token(
    tokens: Float[Array, "n c"],
    cells: Int[Array, " k"],
    clicked: Bool[Array, " k"],
    *,
    attends: bool,
) -> Float[Array, " c"]:
    """Makes one token of those that were clicked, for one example.

    Source: Xu et al., MST, arXiv 2401.04403, Section 3.3; the second form as in the
    releases 224, 1024 and 224-large.

    Args:
        tokens: [n c] base tokens, row by row.
        cells: [k] numbers of the tokens under the clicks; repeated ones count as often.
        clicked: [k] True where a slot counts.
        attends: let the clicked tokens look at each other first, softmax(T T^t / sqrt c),
            and scale their mean to length 1? Else the mean alone.

    Returns:
        [c] float32; 0 without a click.
    """
    rows = jnp.where(clicked[:, None], tokens[cells].astype(jnp.float32), 0.0)
    if attends:
        alike = jnp.einsum("kc,mc->km", rows, rows, precision=HIGHEST)
        lowest = jnp.finfo(jnp.float32).min
        alike = jnp.where(clicked[None], alike * rows.shape[-1] ** -0.5, lowest)
        weights = jnp.where(clicked[:, None], jax.nn.softmax(alike), 0.0)
        rows = jnp.einsum("km,mc->kc", weights, rows, precision=HIGHEST)
    mean = rows.sum(0) / jnp.maximum(clicked.sum(), 1)
    return mean / _length(mean) if attends else mean


def token_scores(
    tokens: Float[Array, "n c"], click: Float[Array, " c"]
) -> Float[Array, " n"]:
    """Scores tokens by their angle to the click token: (cosine + 1) / 2.

    Args:
        tokens: [n c] of one scale.
        click: [c] click token.

    Returns:
        [n] float32, 0 to 1; all 0 where the click token is 0, that is, without a click.
    """
    tokens = tokens.astype(jnp.float32)
    product = jnp.einsum("nc,c->n", tokens, click, precision=HIGHEST)
    cosine = product / (_length(tokens) * _length(click))
    return jnp.where((click == 0).all(), 0.0, (cosine + 1.0) / 2.0)


def _length(x: Float[Array, "*n c"]) -> Float[Array, "*n"]:
    """Euclidean length; 1 where it is 0, so that it can be divided by."""
    squared = jnp.square(x).sum(-1)
    return jnp.sqrt(jnp.where(squared > 0, squared, 1.0))


class LookAtGrid(nn.Module):
    """Lets the tokens of the other scales gather from the base tokens.

    Source: Xu et al., MST, arXiv 2401.04403, Section 3.2. All weights serve both scales,
    but for one network ("expert") a scale after the attention.

    Attributes:
        num_heads: of the attention.
        expert_hidden: hidden width of the experts.
        mlp_hidden: hidden width of the MLP.
        reduce: side of the squares of base tokens that are made one before they are
            looked at; 1 = none.
        dtype: of the products.
    """

    num_heads: int
    expert_hidden: int
    mlp_hidden: int
    reduce: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        grid: Float[Array, "b h w c"],
        fine: Float[Array, "b n c"],
        coarse: Float[Array, "b n2 c"],
    ) -> tuple[Float[Array, "b n c"], Float[Array, "b n2 c"]]:
        """Returns fine and coarse tokens that know the grid.

        Raises:
            ValueError: the grid is smaller than one square.
        """
        _, h, w, c = grid.shape
        if min(h, w) < self.reduce:
            raise ValueError(
                f"the picture has {h}x{w} patches, token selection needs "
                f"{self.reduce}x{self.reduce} or more; take a larger picture"
            )
        memory = LayerNorm(PYTORCH_EPS, name="norm_grid")(grid)
        if self.reduce > 1:
            # What does not fill a square is left out, as a convolution does.
            whole = memory[:, : h - h % self.reduce, : w - w % self.reduce]
            memory = Patchify(c, self.reduce, self.dtype, name="reduce")(whole)
            memory = LayerNorm(PYTORCH_EPS, name="reduce_norm")(memory)
        memory = rearrange(memory, "b h w c -> b (h w) c")
        norm_tokens = LayerNorm(PYTORCH_EPS, name="norm_tokens")
        attention = Attention(
            self.num_heads, self.dtype, use_bias=False, projects=False, name="attention"
        )
        norm_mlp = LayerNorm(PYTORCH_EPS, name="norm_mlp")
        mlp = MLP(self.mlp_hidden, self.dtype, name="mlp")

        def look(x: Array, name: str) -> Array:
            expert = MLP(self.expert_hidden, self.dtype, name=name)
            x = x + expert(attention(norm_tokens(x), memory))
            return x + mlp(norm_mlp(x))

        return look(fine, "fine"), look(coarse, "coarse")
