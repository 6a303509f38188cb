"""Geometry of images: boxes, distances, overlap, interpolation and resizing."""
