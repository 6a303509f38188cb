"""How many clicks are needed?"""

from mst_jax.evaluation.many import simulate_many
from mst_jax.evaluation.session import Session, simulate

__all__ = ["Session", "simulate", "simulate_many"]
