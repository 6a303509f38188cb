"""Inference that all sessions share: compiled steps, batches of clicks."""
