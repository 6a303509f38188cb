"""Rounds of prediction and clicks, zoom on the object, and cascade refinement."""
