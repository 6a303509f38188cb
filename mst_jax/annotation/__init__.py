"""Multi-user annotation server: REST API, sessions, shared inference and web page."""

from mst_jax.extras import needs_extra

# Most modules of this folder import FastAPI or the packages it is built on.
with needs_extra("serve"):
    import fastapi  # noqa: F401
