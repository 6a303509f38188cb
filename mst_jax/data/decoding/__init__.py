"""Decode image files to pixel values: containers, pages, alpha, depth, palettes."""
