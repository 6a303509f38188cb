import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from mst_jax.annotation.limits import Limits, Refused
from mst_jax.annotation.middleware import COOKIE, Guard

LIMITS = Limits(body_bytes=1000, at_once=3)
HERE = "http://127.0.0.1:8000"


async def read(request: Request) -> PlainTextResponse:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except Refused as error:
        return PlainTextResponse("", error.status_code)


def client(token: str | None = None, base_url: str = HERE) -> TestClient:
    routes = [Route(path, read, methods=["GET", "POST"]) for path in ("/", "/api")]
    app = Guard(Starlette(routes=routes), LIMITS, token)
    return TestClient(app, base_url=base_url, follow_redirects=False)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
def test_this_machine_is_served(host):
    assert client(base_url=f"http://{host}").get("/api").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.7:8000", "", "[::"]
)
def test_another_name_of_this_machine_is_refused(host):
    answer = client().get("/api", headers={"host": host})
    assert answer.status_code == 403 and "127.0.0.1" in answer.json()["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": HERE}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9000"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
    ids=str,
)
def test_pages_of_another_origin_are_refused(headers, status):
    assert client().post("/api", headers=headers).status_code == status
    assert client("secret").post("/api", headers=headers).status_code in (401, 403)


def test_a_link_from_elsewhere_opens_the_page():
    headers = {"sec-fetch-site": "cross-site"}
    assert client().get("/", headers=headers).status_code == 200


def test_with_a_token_each_request_brings_it():
    there = client("secret", "http://192.168.0.7:8000")
    answer = there.get("/api")
    assert answer.status_code == 401 and "token" in answer.json()["error"]
    for header in ("Bearer secret", "bearer  secret"):
        headers = {"authorization": header}
        assert there.get("/api", headers=headers).status_code == 200
    for header in ("Bearer wrong", "Basic secret", "secret", "Bearer", "Bearer s\xfc"):
        headers = {"authorization": header.encode("latin-1")}
        assert there.get("/api", headers=headers).status_code == 401


def test_the_token_in_the_address_becomes_a_cookie():
    there = client("secret", "http://192.168.0.7:8000")
    assert there.get("/?token=wrong").status_code == 401
    assert there.get("/api?token=secret").status_code == 401
    answer = there.get("/?token=secret")
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert there.get("/api").status_code == 200
    there.cookies.set(COOKIE, "wrong")
    assert there.get("/api", headers={"cookie": f"{COOKIE}=wrong"}).status_code == 401


@pytest.mark.parametrize("size", [0, 1000, 1001, 5000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(size, chunked):
    body = iter([bytes(100)] * (size // 100) + [bytes(size % 100)])
    content = body if chunked else bytes(size)
    answer = client().post("/api", content=content)
    assert answer.status_code == (413 if size > 1000 else 200)


@pytest.mark.parametrize("length", ["-1", "many", "9" * 400, "²"])
def test_a_length_that_is_none_is_refused(length):
    headers = {"content-length": length.encode()}
    assert client().post("/api", headers=headers).status_code == 413


def test_too_many_requests_at_once_are_refused():
    held = asyncio.Event()

    async def wait(scope, receive, send):
        await held.wait()

    scope = {"type": "http", "path": "/", "query_string": b""}
    scope["headers"] = [(b"host", b"localhost")]
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    async def crowd():
        guard = Guard(wait, LIMITS, None)
        first = [asyncio.create_task(guard(scope, receive, send)) for _ in range(3)]
        await asyncio.sleep(0)
        await guard(scope, receive, send)
        held.set()
        await asyncio.gather(*first)
        before = len(sent)
        await guard(scope, receive, send)
        return before

    assert asyncio.run(crowd()) == len(sent) == 2  # start and body of one refusal
    assert sent[0]["status"] == 429


def test_answers_keep_other_pages_out():
    headers = client().get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
