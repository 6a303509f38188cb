"""What the training command does before the first step: config, checks, first lines."""
