"""Decoders of the image, mask, annotation and volume file formats of the datasets."""
