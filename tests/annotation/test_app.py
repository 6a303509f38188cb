import re
import time

import pytest
from starlette.testclient import TestClient

from mst_jax.annotation.app import STATIC, create_app
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.serving.engine import Engine
from mst_jax.annotation.sessions.registry import Sessions
from tests.helpers.analytic_network import bumps
from tests.helpers.annotation_client import SMALL, VIEW, open_picture


def test_the_server_tells_what_it_is(client):
    about = client.get("/api/about").json()
    assert about["model"] == "a function" and not about["has_tokens"]
    assert about["limits"]["pixels"] == SMALL.pixels
    assert about["limits"]["clicks"] == 24
    assert about["ready"] and about["to_compile"] == 0 and about["compiled"]


def test_sizes_are_compiled_at_start_and_progress_is_told(tmp_path):
    engine = Engine(bumps, **VIEW)
    sessions = Sessions(tmp_path, engine, SMALL)
    app = create_app(engine, sessions, limits=SMALL, sizes=[(60, 84), (70, 90)])
    with TestClient(app, base_url="http://localhost") as client:
        seen = [client.get("/api/about").json()]
        while not seen[-1]["ready"]:
            time.sleep(0.01)
            seen.append(client.get("/api/about").json())
    counts = [about["to_compile"] for about in seen]
    assert counts == sorted(counts, reverse=True)
    assert all(about["to_compile"] + len(about["compiled"]) == 5 for about in seen)


def test_everything_is_told_by_openapi(client):
    tree = client.get("/openapi.json").json()
    assert len(tree["paths"]) == 17
    for path, methods in tree["paths"].items():
        for method, what in methods.items():
            assert what["description"], (method, path)
            assert {"404", "422", "429"} <= set(what["responses"])
            error = what["responses"]["404"]["content"]["application/json"]
            assert error["schema"]["$ref"].endswith("/Error")


def test_pages_that_load_from_elsewhere_are_left_out(client):
    for path in ("/docs", "/redoc"):
        assert client.get(path).status_code == 404


def test_the_page_needs_no_other_server(client):
    page = client.get("/")
    assert page.status_code == 200 and "text/html" in page.headers["content-type"]
    for path in STATIC.rglob("*.*"):
        answer = client.get(f"/static/{path.relative_to(STATIC)}")
        assert answer.status_code == 200
        loads = re.findall(
            r"""(?:src|href|import|from|url)\W{1,3}https?://""", answer.text
        )
        assert not loads, path


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/static/../serve.py", 404),
        ("GET", "/static/%2e%2e/app.py", 404),
        ("POST", "/api/about", 405),
        ("PUT", "/api/sessions", 405),
    ],
)
def test_what_is_not_there_is_a_sentence_too(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status and answer.json()["error"]


def test_a_mistake_of_the_server_is_told_and_it_lives_on(start, monkeypatch):
    client = start()
    client = TestClient(client.app, client.base_url, raise_server_exceptions=False)
    address = open_picture(client)
    monkeypatch.setattr(Engine, "show", lambda *_: 1 / 0)
    answer = client.post(f"{address}/objects/1/clicks", json={"x": 1, "y": 1})
    assert answer.status_code == 500 and "mistake" in answer.json()["error"]
    monkeypatch.undo()
    answer = client.post(f"{address}/objects/1/clicks", json={"x": 1, "y": 1})
    assert answer.status_code == 200 and len(answer.json()["clicks"]) == 1


def test_a_token_is_asked_for(start):
    client = start(Limits(), token="secret")
    assert client.get("/api/about").status_code == 401
    headers = {"authorization": "Bearer secret"}
    assert client.get("/api/about", headers=headers).status_code == 200
