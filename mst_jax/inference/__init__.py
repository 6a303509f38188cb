"""Predict masks from clicks: predictor with undo, SAM interface, overlays."""
