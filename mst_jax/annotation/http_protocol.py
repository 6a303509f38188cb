"""HTTP connections that end when the headers of a request arrive too slowly."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_TIMEOUT = 15.0
"""Seconds from the start of a connection, or from the first byte of a further request,
until its headers must be complete."""


class TimeoutProtocol(H11Protocol):
    """uvicorn's protocol with a limit for the headers; it has one for idle time only.

    Bodies have their own limit, see `SecurityMiddleware`.
    """

    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the timer of the first request."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Stop the timer when the headers are complete."""
        self._start_timer()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(HEADER_TIMEOUT, self._time_out)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _time_out(self) -> None:
        # While a response is sent, the next request may wait in the connection.
        if self.conn.their_state is h11.IDLE:
            self.transport.close()
        self._header_timer = None
