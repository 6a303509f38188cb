"""How many clicks are needed?"""

from mst_jax.evaluation.batched import simulate_many
from mst_jax.evaluation.simulation import Session, simulate

__all__ = ["Session", "simulate", "simulate_many"]
