"""A widget to annotate objects with clicks inside a notebook."""
