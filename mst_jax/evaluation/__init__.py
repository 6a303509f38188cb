"""Measure how many clicks a model needs, with a simulated user."""

from mst_jax.evaluation.batched import simulate_batched
from mst_jax.evaluation.protocol import EvaluationProtocol
from mst_jax.evaluation.simulation import SimulatedSession, simulate

__all__ = ["EvaluationProtocol", "SimulatedSession", "simulate", "simulate_batched"]
