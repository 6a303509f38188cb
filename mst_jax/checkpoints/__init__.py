"""Arrays on disk: params are a tree of arrays, nothing more."""
