"""Mask decoders: pyramid maps become mask logits."""
