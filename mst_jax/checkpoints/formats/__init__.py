"""Readers of weight files that other programs write; nothing in them is executed."""
