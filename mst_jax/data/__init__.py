"""Datasets: prepare, decode, select targets, augment and batch."""
