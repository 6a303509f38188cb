"""Requests made up from the server's own description: none may be a mistake of ours."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from starlette.testclient import TestClient

from mst_jax.annotation.limits import Limits
from mst_jax.data.formats.images import encode_png
from tests.helpers.annotation_client import IMAGE, open_picture


class Fuzzer:
    """Sends made-up requests, many of them to a session that is there."""

    def __init__(self, client: TestClient) -> None:
        self.client, self.statuses = client, []
        told = client.get("/openapi.json").json()
        found = schemathesis.openapi.from_dict(told).get_all_operations()
        self.operations = [one.ok() for one in found]
        self.address = ""

    def send(self, case: schemathesis.Case, is_known: bool) -> None:
        if is_known and "session" in case.path_parameters:
            case.path_parameters["session"] = self.session()
            if "number" in case.path_parameters:
                case.path_parameters["number"] = 1
        request = case.as_transport_kwargs(base_url=str(self.client.base_url))
        if "json" in request:
            request["content"] = json.dumps(request.pop("json"))
        if "data" in request:
            request["content"] = request.pop("data")
        answer = self.client.request(**request)
        self.statuses.append(answer.status_code)
        assert answer.status_code < 500, (request, answer.text)
        if answer.status_code >= 400:
            assert answer.json()["error"]
        documented = {
            int(status) for status in case.operation.definition.raw["responses"]
        }
        assert answer.status_code in documented, (request, answer.text)

    def session(self) -> str:
        """A session with an object 1."""
        there = self.client.get(f"{self.address}/objects/1/mask").status_code == 200
        if not there:
            self.address = open_picture(self.client)
        return self.address.rsplit("/", 1)[1]


def made_up(operation: schemathesis.APIOperation) -> st.SearchStrategy:
    """Requests as they are described; where there is a body, also others."""
    cases = operation.as_strategy()
    if not operation.body:
        return cases
    return cases | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


@pytest.mark.parametrize(
    "examples", [12, pytest.param(400, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_no_request_is_a_mistake_of_the_server(start, tmp_path, examples):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode_png(IMAGE))
    client = start(Limits(), folder=tmp_path / "photos", save=tmp_path / "masks")
    fuzzer = Fuzzer(client)
    for operation in fuzzer.operations:

        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=made_up(operation), is_known=st.sampled_from([True, True, False]))
        def ask(case: schemathesis.Case, is_known: bool) -> None:
            fuzzer.send(case, is_known)

        ask()
    assert len(fuzzer.operations) == 20
    assert {200, 201, 404, 422} <= set(fuzzer.statuses)
    assert client.get("/api/about").status_code == 200
