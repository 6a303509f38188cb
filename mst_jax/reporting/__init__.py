"""Evaluations for the eye: plots, sheets of sessions, one page."""
