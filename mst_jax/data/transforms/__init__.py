"""Random geometric and color transforms that augment a training image and its masks."""
