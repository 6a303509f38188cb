"""Linen layers and array functions that models are built from."""
