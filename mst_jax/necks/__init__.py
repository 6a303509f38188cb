"""Necks: the backbone's grid of tokens becomes maps at several scales."""
