import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from mst_jax.annotation.errors import (
    ERROR_DESCRIPTIONS,
    RequestRejected,
    add_error_handlers,
)


def test_rejected_request_has_a_message_and_a_status():
    error = RequestRejected("no", 404)
    assert (error.detail, error.status_code) == ("no", 404)
    assert RequestRejected("no").status_code == 400


def raise_rejected():
    raise RequestRejected("no such image", 404)


def raise_disconnected():
    raise ClientDisconnect


def raise_unexpected():
    raise RuntimeError("secret.png")


def read_number(number: int):
    return number


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/rejected", 404, "no such image"),
        ("/disconnected", 400, "body"),
        ("/unexpected", 500, "log"),
        ("/number/many", 422, "path.number: "),
        ("/nothing", 404, "Not Found"),
    ],
)
def test_every_error_is_json_with_one_sentence(path, status, message):
    app = FastAPI()
    app.add_api_route("/rejected", raise_rejected)
    app.add_api_route("/disconnected", raise_disconnected)
    app.add_api_route("/unexpected", raise_unexpected)
    app.add_api_route("/number/{number}", read_number)
    add_error_handlers(app)
    response = TestClient(app, raise_server_exceptions=False).get(path)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert message in response.json()["error"]
    assert "secret" not in response.text


def test_statuses_are_described_in_one_sentence():
    assert all(text.endswith(".") for text in ERROR_DESCRIPTIONS.values())
