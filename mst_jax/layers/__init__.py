"""Linen bricks that know nothing of the task."""
