"""Fixtures of the annotation tests: an engine and servers in this process."""

from tests.helpers.annotation_client import (  # noqa: F401
    client,
    database,
    engine,
    registry,
    start_server,
)
