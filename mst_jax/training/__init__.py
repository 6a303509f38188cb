"""Training: configs, training step, loop, sharding, checkpoints and telemetry."""
