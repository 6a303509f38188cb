"""Backbones: image and click maps become a grid of tokens."""
