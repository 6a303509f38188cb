import re
import time

import pytest
from starlette.testclient import TestClient

from mst_jax.annotation.app import STATIC_DIR, create_app
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.sessions.registry import SessionRegistry
from tests.helpers.analytic_network import analytic_model
from tests.helpers.annotation_client import SMALL_LIMITS, ZOOM, open_image


def test_about_describes_model_limits_and_progress(client):
    about = client.get("/api/about").json()
    assert about["model"] == "a function" and not about["has_token_selection"]
    assert about["limits"]["max_pixels"] == SMALL_LIMITS.max_pixels
    assert about["limits"]["max_clicks"] == 24
    assert about["ready"] and about["num_pending_programs"] == 0
    assert about["compiled_programs"]


def test_sizes_are_compiled_at_start_and_progress_is_reported(database):
    engine = InferenceEngine(analytic_model, zoom=ZOOM)
    registry = SessionRegistry(database, engine, SMALL_LIMITS)
    app = create_app(engine, registry, limits=SMALL_LIMITS, sizes=[(60, 84), (70, 90)])
    with TestClient(app, base_url="http://localhost") as client:
        reports = [client.get("/api/about").json()]
        while not reports[-1]["ready"]:
            time.sleep(0.01)
            reports.append(client.get("/api/about").json())
    num_pending = [report["num_pending_programs"] for report in reports]
    assert num_pending == sorted(num_pending, reverse=True)
    num_compiled = [len(report["compiled_programs"]) for report in reports]
    totals = map(sum, zip(num_pending, num_compiled, strict=True))
    assert all(total == 5 for total in totals)


def test_openapi_describes_every_route_and_error(client):
    tree = client.get("/openapi.json").json()
    assert len(tree["paths"]) == 23
    for path, methods in tree["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            assert {"404", "422", "429"} <= set(operation["responses"])
            error = operation["responses"]["404"]["content"]["application/json"]
            assert error["schema"]["$ref"].endswith("/ErrorResponse")


def test_pages_that_load_from_other_servers_are_left_out(client):
    for path in ("/docs", "/redoc"):
        assert client.get(path).status_code == 404


def test_page_needs_no_other_server(client):
    page = client.get("/")
    assert page.status_code == 200 and "text/html" in page.headers["content-type"]
    for path in STATIC_DIR.rglob("*.*"):
        response = client.get(f"/static/{path.relative_to(STATIC_DIR)}")
        assert response.status_code == 200
        foreign_urls = re.findall(
            r"""(?:src|href|import|from|url)\W{1,3}https?://""", response.text
        )
        assert not foreign_urls, path


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
def test_unknown_routes_and_methods_are_errors_with_one_sentence(
    client, method, path, status
):
    response = client.request(method, path)
    assert response.status_code == status and response.json()["error"]


def test_server_continues_after_an_internal_error(start_server, monkeypatch):
    client = start_server()
    client = TestClient(client.app, client.base_url, raise_server_exceptions=False)
    session_url = open_image(client)
    monkeypatch.setattr(InferenceEngine, "paste_prediction", lambda *_: 1 / 0)
    response = client.post(f"{session_url}/objects/1/clicks", json={"x": 1, "y": 1})
    assert response.status_code == 500 and "internal error" in response.json()["error"]
    monkeypatch.undo()
    response = client.post(f"{session_url}/objects/1/clicks", json={"x": 1, "y": 1})
    assert response.status_code == 200 and len(response.json()["clicks"]) == 1


def test_token_is_required_when_the_server_has_one(start_server):
    client = start_server(Limits(), token="secret")
    assert client.get("/api/about").status_code == 401
    headers = {"authorization": "Bearer secret"}
    assert client.get("/api/about", headers=headers).status_code == 200
