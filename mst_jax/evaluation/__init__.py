"""How many clicks are needed?"""

from mst_jax.evaluation.protocol import Session, simulate

__all__ = ["Session", "simulate"]
