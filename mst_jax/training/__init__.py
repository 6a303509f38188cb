"""Training: configs, training step, loop, sharding, checkpoints and telemetry."""

from mst_jax.extras import needs_extra

# Grain makes the batches of training.
with needs_extra("train"):
    import grain  # noqa: F401
