import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.middleware import TOKEN_COOKIE, SecurityMiddleware

LIMITS = Limits(max_body_bytes=1000, max_concurrent_requests=3)
LOCAL_URL = "http://127.0.0.1:8000"
NETWORK_URL = "http://192.168.0.7:8000"


async def read_body_length(request: Request) -> PlainTextResponse:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except RequestRejected as error:
        return PlainTextResponse("", error.status_code)


def make_client(token: str | None = None, base_url: str = LOCAL_URL) -> TestClient:
    routes = [
        Route(path, read_body_length, methods=["GET", "POST"]) for path in ("/", "/api")
    ]
    app = SecurityMiddleware(Starlette(routes=routes), LIMITS, token)
    return TestClient(app, base_url=base_url, follow_redirects=False)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
def test_this_machine_is_served(host):
    assert make_client(base_url=f"http://{host}").get("/api").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.7:8000", "", "[::"]
)
def test_other_host_names_are_rejected_without_a_token(host):
    response = make_client().get("/api", headers={"host": host})
    assert response.status_code == 403 and "127.0.0.1" in response.json()["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": LOCAL_URL}, 200),
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
def test_pages_of_another_origin_are_rejected(headers, status):
    assert make_client().post("/api", headers=headers).status_code == status
    response = make_client("secret").post("/api", headers=headers)
    assert response.status_code in (401, 403)


def test_link_from_another_site_opens_the_page():
    headers = {"sec-fetch-site": "cross-site"}
    assert make_client().get("/", headers=headers).status_code == 200


def test_every_request_must_carry_the_token():
    client = make_client("secret", NETWORK_URL)
    response = client.get("/api")
    assert response.status_code == 401 and "token" in response.json()["error"]
    for header in ("Bearer secret", "bearer  secret"):
        headers = {"authorization": header}
        assert client.get("/api", headers=headers).status_code == 200
    for header in ("Bearer wrong", "Basic secret", "secret", "Bearer", "Bearer s\xfc"):
        headers = {"authorization": header.encode("latin-1")}
        assert client.get("/api", headers=headers).status_code == 401


def test_token_in_the_url_becomes_a_cookie():
    client = make_client("secret", NETWORK_URL)
    assert client.get("/?token=wrong").status_code == 401
    assert client.get("/api?token=secret").status_code == 401
    response = client.get("/?token=secret")
    assert response.status_code == 303 and response.headers["location"] == "/"
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert client.get("/api").status_code == 200
    client.cookies.set(TOKEN_COOKIE, "wrong")
    headers = {"cookie": f"{TOKEN_COOKIE}=wrong"}
    assert client.get("/api", headers=headers).status_code == 401


@pytest.mark.parametrize("size", [0, 1000, 1001, 5000])
@pytest.mark.parametrize("chunked", [False, True])
def test_body_over_the_limit_is_rejected(size, chunked):
    body = iter([bytes(100)] * (size // 100) + [bytes(size % 100)])
    content = body if chunked else bytes(size)
    response = make_client().post("/api", content=content)
    assert response.status_code == (413 if size > 1000 else 200)


@pytest.mark.parametrize("length", ["-1", "many", "9" * 400, "²"])
def test_invalid_content_length_is_rejected(length):
    headers = {"content-length": length.encode()}
    assert make_client().post("/api", headers=headers).status_code == 413


def test_too_many_concurrent_requests_are_rejected():
    finish_requests = asyncio.Event()

    async def wait_app(scope, receive, send):
        await finish_requests.wait()

    scope = {"type": "http", "path": "/", "query_string": b""}
    scope["headers"] = [(b"host", b"localhost")]
    sent_messages = []

    async def send(message):
        sent_messages.append(message)

    async def receive():
        return {"type": "http.request"}

    async def run_requests():
        middleware = SecurityMiddleware(wait_app, LIMITS, None)
        tasks = [
            asyncio.create_task(middleware(scope, receive, send)) for _ in range(3)
        ]
        await asyncio.sleep(0)
        await middleware(scope, receive, send)
        finish_requests.set()
        await asyncio.gather(*tasks)
        num_sent = len(sent_messages)
        await middleware(scope, receive, send)
        return num_sent

    # Start and body of one rejection; the last request is accepted again.
    assert asyncio.run(run_requests()) == len(sent_messages) == 2
    assert sent_messages[0]["status"] == 429


def test_responses_have_security_headers():
    headers = make_client().get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
