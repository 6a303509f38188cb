"""Check every request before the app sees it: host, origin, token, body and load."""

import asyncio
import http.cookies
import secrets
from collections.abc import Sequence
from urllib.parse import parse_qs, quote, unquote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.limits import Limits

MIN_BODY_RATE = 50_000
"""Bytes of a body that must arrive in each second, after a start of 20 s."""

_BODY_START_SECONDS = 20.0
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
"""Host names with which a browser on this machine calls the server."""

_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class SecurityMiddleware:
    """ASGI middleware that rejects requests and adds security headers to responses.

    The host name of the request must be one of this machine or of `public_hosts`. This
    stops DNS rebinding, where a foreign page points its own host name to 127.0.0.1. With
    a token every request must carry it; without public hosts any host name is then
    accepted. A browser must not report another origin.

    Starlette's `TrustedHostMiddleware` is not used: with an invalid host name it answers
    "Invalid host header" as plain text, while all errors of this server are JSON with a
    sentence that names the flag to set; and versions before 1.0 read "[::1]:8000" as "[".

    A request counts as active once its body has arrived, so that slow clients cannot
    keep others out.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        token: str | None,
        public_hosts: Sequence[str] = (),
    ) -> None:
        """Wrap an app.

        Args:
            app: Application that receives the accepted requests.
            limits: Maximum body size and number of concurrent requests.
            token: Token that every request must carry; None = no token.
            public_hosts: Host names under which a proxy serves this app.
        """
        self._app, self._limits, self._token = app, limits, token
        self._public_hosts = {host.lower() for host in public_hosts}
        self._num_active_requests = self._num_body_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request."""
        # "lifespan" messages (startup, shutdown) are not requests.
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_security_headers(send)
        body = bytearray()
        try:
            response = self._check_headers(scope)
            if response is None:
                await self._receive_body(receive, body)
                self._check_load()
        except RequestRejected as error:
            response = JSONResponse({"error": error.detail}, error.status_code)
        except _ClientGone:
            return
        else:
            if response is None:
                await self._run_app(scope, _replay(bytes(body), receive), send)
        finally:
            self._num_body_bytes -= len(body)
        if response is not None:
            await response(scope, receive, send)

    async def _run_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._num_active_requests += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._num_active_requests -= 1

    def _check_headers(self, scope: Scope) -> Response | None:
        """Check all but the body; see `_check_token` for the response."""
        headers = Headers(scope=scope)
        self._check_body_length(headers)
        self._check_origin(headers, is_page=scope["path"] == "/")
        return self._check_token(scope, headers)

    def _check_body_length(self, headers: Headers) -> None:
        """Reject a request whose declared body is too long."""
        content_length = headers.get("content-length", "0")
        # int() is slow for very long texts; 20 digits exceed every limit already.
        if (
            not content_length.isdecimal()
            or int(content_length[:20]) > self._limits.max_body_bytes
        ):
            raise RequestRejected(self._body_too_long_message, 413)

    def _check_load(self) -> None:
        """Reject a request when too many are active."""
        if self._num_active_requests >= self._limits.max_concurrent_requests:
            raise RequestRejected(
                "too many concurrent requests; try again in a moment", 429
            )

    def _check_origin(self, headers: Headers, *, is_page: bool) -> None:
        """Reject a request of a foreign page, or one for a foreign host name."""
        # 1. The host name must be one of this machine or of the proxy.
        host = headers.get("host", "")
        is_known = _host_name(host) in {*LOOPBACK_HOSTS, *self._public_hosts}
        if not is_known and (self._token is None or self._public_hosts):
            raise RequestRejected(
                f"the host name is {host[:100]!r}, expected 127.0.0.1 or localhost; "
                "start the server with --host and --token to serve other machines, or "
                "with --public-host behind a proxy",
                403,
            )
        # 2. Browsers report the origin of the calling page. A link from another site
        # may open the page itself.
        origin_header = headers.get("origin")
        is_foreign = (
            origin_header is not None and urlsplit(origin_header).netloc != host
        )
        fetch_site = headers.get("sec-fetch-site", "none")
        if is_foreign or (fetch_site not in ("none", "same-origin") and not is_page):
            raise RequestRejected(
                "pages of another origin may not use this server", 403
            )

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        """Reject a request without the token.

        Returns:
            A redirect that sets the cookie for `/?token=TOKEN`; None for a request that
            carries the token.
        """
        if self._token is None:
            return None
        query_params = parse_qs(scope["query_string"].decode("latin-1"))
        query_token = query_params.get("token", [""])[0]
        # The redirect removes the token from the address bar and the history.
        if scope["path"] == "/" and self._is_token(query_token):
            redirect_response = RedirectResponse("/", 303)
            redirect_response.set_cookie(
                cookie_name(scope),
                quote(query_token, safe=""),  # cookies hold few characters
                httponly=True,
                samesite="strict",
                secure=scope.get("scheme") == "https",
            )
            return redirect_response
        auth_scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if auth_scheme.lower() == "bearer" and self._is_token(credentials.strip()):
            return None
        if self._is_token(_read_cookie(headers.get("cookie", ""), cookie_name(scope))):
            return None
        raise RequestRejected(
            "the token is missing: open /?token=TOKEN once, or send the header "
            "'Authorization: Bearer TOKEN'",
            401,
        )

    def _is_token(self, given_token: str) -> bool:
        """Compare in constant time, so that timing does not reveal the token."""
        return secrets.compare_digest(
            given_token.encode(), (self._token or "").encode()
        )

    async def _receive_body(self, receive: Receive, body: bytearray) -> None:
        """Append the body of a request, whose length may not be declared.

        Raises:
            RequestRejected: The body is too long (413), too slow (408), or all bodies
                together take too much memory (429).
            _ClientGone: The client has ended the connection.
        """
        loop = asyncio.get_running_loop()
        start_time, has_more = loop.time(), True
        while has_more:
            seconds = _BODY_START_SECONDS + len(body) / MIN_BODY_RATE
            try:
                async with asyncio.timeout_at(start_time + seconds):
                    message = await receive()
            except TimeoutError:
                raise RequestRejected(
                    f"the body arrives too slowly, expected {MIN_BODY_RATE} bytes a "
                    "second",
                    408,
                ) from None
            if message["type"] == "http.disconnect":
                raise _ClientGone
            new_bytes = message.get("body", b"")
            body += new_bytes
            self._num_body_bytes += len(new_bytes)
            if len(body) > self._limits.max_body_bytes:
                raise RequestRejected(self._body_too_long_message, 413)
            if self._num_body_bytes > 16 * self._limits.max_body_bytes:
                raise RequestRejected("too many uploads; try again in a moment", 429)
            has_more = message.get("more_body", False)

    @property
    def _body_too_long_message(self) -> str:
        max_mebibytes = self._limits.max_body_bytes / 2**20
        return f"the body is too long; the maximum is {max_mebibytes:g} MiB"


class _ClientGone(Exception):
    """The client has ended the connection."""


def cookie_name(scope: Scope) -> str:
    """Return the name of the cookie of the token.

    Browsers send cookies to all ports of a host, so that the port is part of the name.

    Args:
        scope: ASGI scope of a request.
    """
    _, port = scope.get("server") or ("", 0)
    return f"mst_jax_token_{port}"


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a function that returns a body first, then what follows it."""
    is_first = True

    async def receive_again() -> Message:
        nonlocal is_first
        if is_first:
            is_first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return receive_again


def _host_name(host: str) -> str:
    """Return the name in a Host header without the port; "" for an invalid header."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _read_cookie(cookie_header: str, name: str) -> str:
    """Return the token in a Cookie header; "" if there is none."""
    try:
        token_cookie = http.cookies.SimpleCookie(cookie_header).get(name)
    except http.cookies.CookieError:
        return ""
    return unquote(token_cookie.value) if token_cookie else ""


def _with_security_headers(send: Send) -> Send:
    """Add the headers against framing, foreign scripts and stale copies."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            # A header that the app has set already takes precedence.
            present_names = {name.lower() for name, _ in message["headers"]}
            message["headers"] = list(message["headers"]) + [
                (name.encode(), value.encode())
                for name, value in _SECURITY_HEADERS.items()
                if name.encode() not in present_names
            ]
        await send(message)

    return send_with_headers
