"""Norms whose statistics are float32 whatever the activations are."""

import flax.linen as nn
from jaxtyping import Array, Float

PYTORCH_EPS = 1e-5  # what PyTorch takes if nothing is said


class LayerNorm(nn.Module):
    """Layer norm over channels.

    Flax's fast variance, E[x^2] - E[x]^2, loses digits where the mean is large, as it is
    in the residual stream of a ViT; the two-pass form costs nothing measurable.

    Attributes:
        eps: 1e-6 in the ViT's blocks, 1e-5 where PyTorch's default was left.
    """

    eps: float = 1e-6

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Returns x with mean 0 and variance 1 along c, scaled and moved as learned."""
        norm = nn.LayerNorm(epsilon=self.eps, use_fast_variance=False, name="norm")
        return norm(x).astype(x.dtype)


class MapNorm(nn.Module):
    """Group norm of a map; with one group it is a layer norm over rows, columns, channels.

    Attributes:
        num_groups: groups of neighbouring channels that share their statistics.
    """

    num_groups: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Returns x normalised group by group; eps 1e-5 as in every published model."""
        norm = nn.GroupNorm(
            self.num_groups, epsilon=PYTORCH_EPS, use_fast_variance=False, name="norm"
        )
        return norm(x).astype(x.dtype)
