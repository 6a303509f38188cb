"""Record which programs JAX compiles."""

import contextlib
from collections.abc import Iterator

import jax.monitoring

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"

_open_recordings: list[list[str]] = []


@contextlib.contextmanager
def compile_events() -> Iterator[list[str]]:
    """Give a list that grows by one event for each program compiled in this block."""
    events: list[str] = []
    _open_recordings.append(events)
    try:
        yield events
    finally:
        _open_recordings.remove(events)


def _record(name: str, *_: object, **__: object) -> None:
    if name == COMPILE_EVENT:
        for events in _open_recordings:
            events.append(name)


# Registered once: jax 0.7.2 has no public function that removes a listener.
jax.monitoring.register_event_duration_secs_listener(_record)
