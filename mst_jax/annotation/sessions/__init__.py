"""Annotation sessions: actions on objects, their masks, and exports."""
