"""Check every request before the app sees it: load, body size, origin and token."""

import http.cookies
import secrets
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.limits import Limits

TOKEN_COOKIE = "mst_jax_token"
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

    Without a token the server serves this machine only: the host name of the request
    must be one of `LOOPBACK_HOSTS`. This stops DNS rebinding, where a foreign page
    points its own host name to 127.0.0.1. With a token every request must carry it. In
    both cases a browser must not report another origin.
    """

    def __init__(self, app: ASGIApp, limits: Limits, token: str | None) -> None:
        """Wrap an app.

        Args:
            app: Application that receives the accepted requests.
            limits: Maximum body size and number of concurrent requests.
            token: Token that every request must carry; None = serve this machine only.
        """
        self._app, self._limits, self._token = app, limits, token
        self._num_active_requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request."""
        # "lifespan" messages (startup, shutdown) are not requests.
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._num_active_requests += 1
        try:
            request_handler = self._select_handler(scope)
            limited_receive = self._limit_body(receive)
            await request_handler(scope, limited_receive, _with_security_headers(send))
        finally:
            self._num_active_requests -= 1

    def _select_handler(self, scope: Scope) -> ASGIApp:
        """Return the app, or the response of a rejected request."""
        headers = Headers(scope=scope)
        try:
            # The cheapest check first: under load nothing else is looked at.
            self._check_load(headers)
            self._check_origin(headers, is_page=scope["path"] == "/")
            return self._check_token(scope, headers) or self._app
        except RequestRejected as error:
            return JSONResponse({"error": error.detail}, error.status_code)

    def _check_load(self, headers: Headers) -> None:
        """Reject a request when too many are active or its body is too long."""
        if self._num_active_requests > self._limits.max_concurrent_requests:
            raise RequestRejected(
                "too many concurrent requests; try again in a moment", 429
            )
        content_length = headers.get("content-length", "0")
        # int() is slow for very long texts; 20 digits exceed every limit already.
        if (
            not content_length.isdecimal()
            or int(content_length[:20]) > self._limits.max_body_bytes
        ):
            raise RequestRejected(self._body_too_long_message, 413)

    def _check_origin(self, headers: Headers, *, is_page: bool) -> None:
        """Reject a request of a foreign page, or one for a foreign host name."""
        # 1. Without a token: the host name must be one of this machine.
        host = headers.get("host", "")
        if self._token is None and _host_name(host) not in LOOPBACK_HOSTS:
            raise RequestRejected(
                f"the host name is {host[:100]!r}, expected 127.0.0.1 or localhost; "
                "start the server with --host and --token to serve other machines",
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
                TOKEN_COOKIE, query_token, httponly=True, samesite="strict"
            )
            return redirect_response
        auth_scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if auth_scheme.lower() == "bearer" and self._is_token(credentials.strip()):
            return None
        if self._is_token(_read_cookie(headers.get("cookie", ""))):
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

    def _limit_body(self, receive: Receive) -> Receive:
        """Count the bytes of a body whose length is not declared or declared wrong."""
        num_bytes = 0

        async def receive_limited() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self._limits.max_body_bytes:
                raise RequestRejected(self._body_too_long_message, 413)
            return message

        return receive_limited

    @property
    def _body_too_long_message(self) -> str:
        max_mebibytes = self._limits.max_body_bytes / 2**20
        return f"the body is too long; the maximum is {max_mebibytes:g} MiB"


def _host_name(host: str) -> str:
    """Return the name in a Host header without the port; "" for an invalid header."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _read_cookie(cookie_header: str) -> str:
    """Return the token in a Cookie header; "" if there is none."""
    try:
        token_cookie = http.cookies.SimpleCookie(cookie_header).get(TOKEN_COOKIE)
    except http.cookies.CookieError:
        return ""
    return token_cookie.value if token_cookie else ""


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
