"""Generated requests from the server's OpenAPI description: none may be a 5xx."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from starlette.testclient import TestClient

from mst_jax.annotation.limits import Limits
from mst_jax.data.formats.images import encode_png
from tests.helpers.annotation_client import IMAGE, open_image


class Fuzzer:
    """Sends generated requests, many of them to a session that exists."""

    def __init__(self, client: TestClient) -> None:
        self.client, self.statuses = client, []
        schema = client.get("/openapi.json").json()
        results = schemathesis.openapi.from_dict(schema).get_all_operations()
        self.operations = [result.ok() for result in results]
        self.session_url = ""

    def send(self, case: schemathesis.Case, use_known_session: bool) -> None:
        if use_known_session and "session_id" in case.path_parameters:
            case.path_parameters["session_id"] = self.session_id()
            if "object_id" in case.path_parameters:
                case.path_parameters["object_id"] = 1
        request = case.as_transport_kwargs(base_url=str(self.client.base_url))
        if "json" in request:
            request["content"] = json.dumps(request.pop("json"))
        if "data" in request:
            request["content"] = request.pop("data")
        response = self.client.request(**request)
        self.statuses.append(response.status_code)
        assert response.status_code < 500, (request, response.text)
        if response.status_code >= 400:
            assert response.json()["error"]
        documented = {
            int(status) for status in case.operation.definition.raw["responses"]
        }
        assert response.status_code in documented, (request, response.text)

    def session_id(self) -> str:
        """Return the ID of a session with an object 1."""
        mask_response = self.client.get(f"{self.session_url}/objects/1/mask")
        if mask_response.status_code != 200:
            self.session_url = open_image(self.client)
        return self.session_url.rsplit("/", 1)[1]


def generate_cases(operation: schemathesis.APIOperation) -> st.SearchStrategy:
    """Return valid requests; where there is a body, also invalid ones."""
    cases = operation.as_strategy()
    if not operation.body:
        return cases
    return cases | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


@pytest.mark.parametrize(
    "num_examples",
    [6, pytest.param(400, marks=pytest.mark.slow)],
    ids=["short", "long"],
)
def test_no_request_is_an_internal_error(start_server, tmp_path, num_examples):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode_png(IMAGE))
    client = start_server(Limits(), folder=tmp_path / "photos", save=tmp_path / "masks")
    fuzzer = Fuzzer(client)
    for operation in fuzzer.operations:

        @settings(
            max_examples=num_examples,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=generate_cases(operation),
            use_known_session=st.sampled_from([True, True, False]),
        )
        def send_case(case: schemathesis.Case, use_known_session: bool) -> None:
            fuzzer.send(case, use_known_session)

        send_case()
    assert len(fuzzer.operations) == 27
    assert {200, 201, 404, 422} <= set(fuzzer.statuses)
    assert client.get("/api/about").status_code == 200
