import asyncio
from collections.abc import Sequence

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from mst_jax.annotation import middleware
from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.middleware import SecurityMiddleware, cookie_name

LIMITS = Limits(max_body_bytes=1000, max_concurrent_requests=3)
LOCAL_URL = "http://127.0.0.1:8000"
NETWORK_URL = "http://192.168.0.7:8000"


async def read_body_length(request: Request) -> PlainTextResponse:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except RequestRejected as error:
        return PlainTextResponse("", error.status_code)


def make_client(
    token: str | None = None,
    base_url: str = LOCAL_URL,
    public_hosts: Sequence[str] = (),
) -> TestClient:
    routes = [
        Route(path, read_body_length, methods=["GET", "POST"]) for path in ("/", "/api")
    ]
    app = SecurityMiddleware(Starlette(routes=routes), LIMITS, token, public_hosts)
    return TestClient(app, base_url=base_url, follow_redirects=False)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
def test_this_machine_is_served(host):
    # Older test clients do not read an IPv6 address in `base_url`.
    response = make_client().get("/api", headers={"host": host})
    assert response.status_code == 200


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
    headers = {"cookie": "mst_jax_token_8000=wrong"}
    assert client.get("/api", headers=headers).status_code == 401


@pytest.mark.parametrize("token", ['a b;c=d,e"f\\', "ключ", "100%", "+&?#"])
def test_token_may_have_any_characters(token):
    client = make_client(token, NETWORK_URL)
    assert client.get("/", params={"token": token}).status_code == 303
    assert client.get("/api").status_code == 200


def test_servers_on_two_ports_have_their_own_cookies():
    client = make_client("secret", NETWORK_URL)
    client.get("/?token=secret")
    other = make_client("other", NETWORK_URL.replace("8000", "9000"))
    other.cookies = client.cookies
    other.get("/?token=other")
    assert len(other.cookies) == 2
    assert client.get("/api").status_code == other.get("/api").status_code == 200
    assert cookie_name({}) == "mst_jax_token_0"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cookie_of_a_tls_proxy_is_secure(scheme):
    client = make_client("secret", f"{scheme}://labels.example")
    cookie = client.get("/?token=secret").headers["set-cookie"].lower()
    assert ("; secure" in cookie) == (scheme == "https")


@pytest.mark.parametrize("token", [None, "secret"])
def test_proxy_serves_its_own_host_names_only(token):
    headers = {"authorization": "Bearer secret"}
    client = make_client(token, "https://labels.example", ["Labels.Example"])
    client.headers.update(headers)
    origin = {"origin": "https://labels.example"}
    assert client.post("/api", headers=origin).status_code == 200
    response = client.get("/api", headers={"host": "evil.example"})
    assert response.status_code == 403 and "--public-host" in response.json()["error"]
    assert client.get("/api", headers={"host": "localhost"}).status_code == 200


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


class FakeRequests:
    """Runs requests whose bodies and responses wait for events."""

    def __init__(self) -> None:
        self.finish_requests, self.sent_messages = asyncio.Event(), []
        self.middleware = SecurityMiddleware(self.app, LIMITS, None)

    async def app(self, scope, receive, send):
        await self.finish_requests.wait()

    async def send(self, message):
        self.sent_messages.append(message)

    async def run(self, receive):
        scope = {"type": "http", "path": "/", "query_string": b""}
        scope["headers"] = [(b"host", b"localhost")]
        await self.middleware(scope, receive, self.send)


async def receive_nothing():
    return {"type": "http.request"}


async def receive_never():
    await asyncio.Event().wait()


def test_too_many_concurrent_requests_are_rejected():
    async def run_requests():
        requests = FakeRequests()
        tasks = [asyncio.create_task(requests.run(receive_nothing)) for _ in range(3)]
        await asyncio.sleep(0)
        await requests.run(receive_nothing)
        requests.finish_requests.set()
        await asyncio.gather(*tasks)
        num_sent = len(requests.sent_messages)
        await requests.run(receive_nothing)
        return num_sent, requests.sent_messages

    num_sent, sent_messages = asyncio.run(run_requests())
    # Start and body of one rejection; the last request is accepted again.
    assert num_sent == len(sent_messages) == 2
    assert sent_messages[0]["status"] == 429


def test_slow_bodies_are_rejected_and_keep_nobody_out(monkeypatch):
    monkeypatch.setattr(middleware, "_BODY_START_SECONDS", 0.3)

    async def run_requests():
        requests = FakeRequests()
        requests.finish_requests.set()
        tasks = [asyncio.create_task(requests.run(receive_never)) for _ in range(9)]
        await asyncio.sleep(0)
        await requests.run(receive_nothing)
        assert requests.sent_messages == []  # accepted
        await asyncio.gather(*tasks)
        return [item["status"] for item in requests.sent_messages if "status" in item]

    assert asyncio.run(run_requests()) == [408] * 9


def test_memory_of_waiting_bodies_is_limited():
    async def run_requests():
        requests = FakeRequests()
        requests.finish_requests.set()

        def make_receive():
            messages = [{"type": "http.request", "body": bytes(900), "more_body": True}]

            async def receive():
                return messages.pop() if messages else await receive_never()

            return receive

        tasks = [asyncio.create_task(requests.run(make_receive())) for _ in range(20)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        statuses = [
            item["status"] for item in requests.sent_messages if "status" in item
        ]
        assert requests.middleware._num_body_bytes == 0
        return statuses

    # 17 bodies of 900 bytes fit into 16 times 1000 bytes.
    assert asyncio.run(run_requests()) == [429] * 3


def test_responses_have_security_headers():
    headers = make_client().get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
