"""Maps to mask logits."""
