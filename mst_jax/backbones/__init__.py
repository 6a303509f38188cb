"""Image and click maps to tokens."""
