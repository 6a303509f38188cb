"""Annotation sessions: objects, history, storage and autosave."""
