"""Uploaded and exported files, and the folder of images that is offered."""
