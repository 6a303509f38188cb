"""The loop between a model and its user; knows only a predict function."""
