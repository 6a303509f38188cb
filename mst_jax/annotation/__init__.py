"""Multi-user annotation server: REST API, sessions, shared inference and web page."""
