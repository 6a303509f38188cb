"""Arithmetic of pictures; knows no clicks and no networks."""
