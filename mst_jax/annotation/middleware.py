"""What no request gets past: strangers, other pages, too much at once, too long."""

import http.cookies
import secrets
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mst_jax.annotation.limits import Limits, Refused

COOKIE = "mst_jax_token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names by which a browser on this machine calls it."""

_PROTECTION = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Guard:
    """ASGI: refuses what the server shall not see, and marks what it answers.

    Without a token only this machine is served: the name that the browser used must be
    one of `LOOPBACK`, so that a page of elsewhere whose name is bent to this machine
    gets nothing. With a token each request brings it. In both cases a browser must say
    nothing of another origin.
    """

    def __init__(self, app: ASGIApp, limits: Limits, token: str | None) -> None:
        """Takes the app, and the token if there is one."""
        self._app, self._limits, self._token = app, limits, token
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._at_once += 1
        try:
            await self._answer(scope)(scope, self._limited(receive), _marked(send))
        finally:
            self._at_once -= 1

    def _answer(self, scope: Scope) -> ASGIApp:
        headers = Headers(scope=scope)
        try:
            self._check_load(headers)
            self._check_origin(headers, is_page=scope["path"] == "/")
            return self._check_token(scope, headers) or self._app
        except Refused as error:
            return JSONResponse({"error": error.detail}, error.status_code)

    def _check_load(self, headers: Headers) -> None:
        if self._at_once > self._limits.at_once:
            raise Refused("too many requests at once; try again in a moment", 429)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self._limits.body_bytes:
            raise Refused(self._too_long, 413)

    def _check_origin(self, headers: Headers, *, is_page: bool) -> None:
        host = headers.get("host", "")
        if self._token is None and _name_of(host) not in LOOPBACK:
            raise Refused(
                f"the server is called {host[:100]!r}, expected 127.0.0.1 or localhost; "
                "start it with --host and --token to serve others",
                403,
            )
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != host
        site = headers.get("sec-fetch-site", "none")
        if foreign or (site not in ("none", "same-origin") and not is_page):
            raise Refused("a page of another origin may not use this server", 403)

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        if self._token is None:
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"))
        asked = query.get("token", [""])[0]
        if scope["path"] == "/" and self._is_token(asked):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(COOKIE, asked, httponly=True, samesite="strict")
            return answer
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(bearer.strip()):
            return None
        if self._is_token(_cookie(headers.get("cookie", ""))):
            return None
        raise Refused(
            "a token is needed: open /?token=TOKEN once, or send the header "
            "'Authorization: Bearer TOKEN'",
            401,
        )

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), (self._token or "").encode())

    def _limited(self, receive: Receive) -> Receive:
        """Counts the bytes of a body whose length was not told, or told wrong."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limits.body_bytes:
                raise Refused(self._too_long, 413)
            return message

        return counted

    @property
    def _too_long(self) -> str:
        most = self._limits.body_bytes / 2**20
        return f"the body is too long; at most {most:g} MiB are taken"


def _name_of(host: str) -> str:
    """The name in a Host header, without port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _cookie(header: str) -> str:
    try:
        found = http.cookies.SimpleCookie(header).get(COOKIE)
    except http.cookies.CookieError:
        return ""
    return found.value if found else ""


def _marked(send: Send) -> Send:
    """Adds the headers that keep other pages and old copies out."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            message["headers"] = list(message["headers"]) + [
                (name.encode(), value.encode())
                for name, value in _PROTECTION.items()
                if name.encode() not in names
            ]
        await send(message)

    return marked
