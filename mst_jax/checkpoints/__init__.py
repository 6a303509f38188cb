"""Checkpoints on disk: training runs, model folders, and published weight files."""
