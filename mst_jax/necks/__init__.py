"""Tokens to maps at several sizes."""
