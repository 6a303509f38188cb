"""Synthetic images of textured, overlapping shapes with their label maps."""
