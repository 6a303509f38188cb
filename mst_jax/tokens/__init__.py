"""Choosing the few finer and coarser tokens that matter."""
