"""Schemas and routes of the REST API."""
