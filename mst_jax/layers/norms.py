"""Normalization layers whose statistics are float32 for every activation dtype."""

import flax.linen as nn
from jaxtyping import Array, Float

# Default `eps` of PyTorch's normalization layers.
PYTORCH_EPS = 1e-5


class LayerNorm(nn.Module):
    """Layer normalization over channels.

    Flax's fast variance, E[x^2] - E[x]^2, loses digits where the mean is large, as in
    the residual stream of a ViT; the two-pass form costs nothing measurable.

    Attributes:
        eps: Added to the variance: 1e-6 in the blocks of the ViT, 1e-5 where the
            published code has PyTorch's default.
    """

    eps: float = 1e-6

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Return x with mean 0 and variance 1 over c, then scaled and shifted.

        Args:
            x: [*b c] tokens; the result has their dtype.
        """
        # The submodule keeps the parameters at `norm/scale` and `norm/bias`.
        norm = nn.LayerNorm(epsilon=self.eps, use_fast_variance=False, name="norm")
        return norm(x).astype(x.dtype)


class GroupNorm(nn.Module):
    """Group normalization of a map; a single group normalizes the whole map.

    Attributes:
        num_groups: Number of groups of adjacent channels that share their statistics.
    """

    num_groups: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Return x normalized group by group, then scaled and shifted per channel.

        Args:
            x: [b h w c] feature map; the result has its dtype.
        """
        # eps is 1e-5 in every published model, hence no attribute.
        norm = nn.GroupNorm(
            self.num_groups, epsilon=PYTORCH_EPS, use_fast_variance=False, name="norm"
        )
        return norm(x).astype(x.dtype)
