r"""Click inside Label Studio: an ML backend that calls a running mst_jax server.

python -m mst_jax.serve --checkpoint RUN
python examples/label_studio.py --studio http://localhost:8080 --key ACCESS_TOKEN

In Label Studio: Settings, Model, Connect Model, http://localhost:9090, with
"interactive preannotations". docs/serving.md has the labeling interface.
"""

import argparse
import itertools
import os
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx2
import numpy as np
import uvicorn
from fastapi import Body, FastAPI, HTTPException
from jaxtyping import Bool

MODEL_VERSION = "mst_jax"
# Bits of (run length - 1); two bits before each length choose the size.
_LENGTH_BITS = (3, 6, 10, 16)


class Click(NamedTuple):
    """A keypoint of Label Studio as the body of a click request, in pixels."""

    x: float
    y: float
    positive: bool


class Backend:
    """Answers requests of Label Studio with masks of the mst_jax server."""

    def __init__(
        self, server_client: httpx2.Client, studio_client: httpx2.Client
    ) -> None:
        """Connect both.

        Args:
            server_client: Client of the mst_jax server.
            studio_client: Client of Label Studio.
        """
        self._server, self._studio = server_client, studio_client
        self._session_urls: dict[str, str] = {}

    def predict(self, task: dict, context: dict) -> dict:
        """Return the mask of one object after all keypoints set so far.

        Args:
            task: Task of Label Studio with the URL of its image.
            context: Current annotations, among them the keypoints.
        """
        keypoints = [
            annotation
            for annotation in context["result"]
            if annotation["type"] == "keypointlabels"
        ]
        if not keypoints:
            return {"result": [], "model_version": MODEL_VERSION}
        # 1. The image; its session is kept for the next keypoint.
        session_url = self._open_session(next(iter(task["data"].values())))
        session_info = self._call_server("GET", session_url)
        width, height = session_info["width"], session_info["height"]
        # 2. All keypoints are sent to a new object each time: no state has to be kept
        # in step with Label Studio.
        clicks = [_to_click(keypoint, width, height) for keypoint in keypoints]
        created_object = self._call_server("POST", f"{session_url}/objects")
        object_url = f"{session_url}/objects/{created_object['object_id']}"
        response_json = {}
        try:
            for click in clicks:
                response_json = self._call_server(
                    "POST", f"{object_url}/clicks", json=click._asdict()
                )
        finally:
            self._server.delete(object_url)
        # 3. The mask in Label Studio's brush format.
        last_keypoint = keypoints[-1]
        brush = {
            "type": "brushlabels",
            "from_name": _brush_name(last_keypoint),
            "to_name": last_keypoint["to_name"],
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": encode_brush(decode_run_lengths(**response_json["mask"])),
                "brushlabels": last_keypoint["value"]["keypointlabels"],
            },
        }
        return {"result": [brush], "model_version": MODEL_VERSION}

    def _open_session(self, image_url: str) -> str:
        """Return the URL path of an image's session; open it if there is none."""
        session_url = self._session_urls.get(image_url)
        if session_url and self._server.get(session_url).status_code == 200:
            return session_url
        # Tasks come from users: only files of this Label Studio are fetched.
        base_url = str(self._studio.base_url)
        full_url = urljoin(base_url, image_url)
        if urlsplit(full_url)[:2] != urlsplit(base_url)[:2]:
            raise HTTPException(400, f"{image_url} is not a file of this Label Studio")
        image = self._studio.get(full_url)
        if image.status_code != 200:
            raise HTTPException(
                400,
                f"Label Studio responds with status {image.status_code} to {image_url}",
            )
        headers = {"content-type": image.headers.get("content-type", "image/*")}
        opened_session = self._call_server(
            "POST", "/api/sessions", content=image.content, headers=headers
        )
        session_url = f"/api/sessions/{opened_session['session_id']}"
        self._session_urls[image_url] = session_url
        return session_url

    def _call_server(
        self, http_method: str, url_path: str, **request_options: Any
    ) -> dict:
        http_response = self._server.request(http_method, url_path, **request_options)
        if http_response.status_code >= 400:
            raise HTTPException(400, http_response.json()["error"])
        return http_response.json()


def make_app(backend: Backend) -> FastAPI:
    """Return the routes that Label Studio calls.

    Args:
        backend: Connection to the mst_jax server.
    """
    app = FastAPI(title="mst_jax for Label Studio", docs_url=None, redoc_url=None)

    @app.get("/health")
    def read_health() -> dict:
        return {"status": "UP", "model_class": "mst_jax"}

    @app.post("/setup")
    def setup_model() -> dict:
        return {"model_version": MODEL_VERSION}

    @app.post("/predict")
    def predict_tasks(body: dict = Body()) -> dict:  # noqa: B008 - FastAPI's way
        context = (body.get("params") or {}).get("context") or {"result": []}
        results = [backend.predict(task, context) for task in body["tasks"]]
        return {"results": results, "model_version": MODEL_VERSION}

    @app.post("/webhook")
    def receive_webhook() -> dict:
        return {}

    return app


def decode_run_lengths(
    size: tuple[int, int], counts: list[int]
) -> Bool[np.ndarray, "h w"]:
    """Decode COCO's uncompressed run lengths: down the columns, background first.

    Args:
        size: Height and width of the mask.
        counts: Lengths of the runs.
    """
    run_values = np.arange(len(counts)) % 2 == 1
    return np.repeat(run_values, counts).reshape(size, order="F")


def encode_brush(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """Encode a mask as the bytes of Label Studio's brush.

    Each pixel has four equal bytes, 0 or 255, in a stream of bits. The header holds 32
    bits of the number of bytes, 5 bits of (bits per value - 1) and 4 times 4 bits of
    (bits per run length - 1). Each run has the bit 1, 2 bits for the size of its
    length, (length - 1) and the value.

    Args:
        mask: [h w] object pixels.
    """
    # 1. Runs of equal bytes; four channels per pixel.
    flat_mask = np.repeat(mask.ravel(), 4)
    is_start = np.diff(flat_mask, prepend=~flat_mask[:1])
    run_edges = [*np.flatnonzero(is_start).tolist(), flat_mask.size]
    # 2. Header, then the runs.
    bit_fields = [
        f"{flat_mask.size:032b}",
        f"{8 - 1:05b}",
        *(f"{num_bits - 1:04b}" for num_bits in _LENGTH_BITS),
    ]
    for run_start, run_end in itertools.pairwise(run_edges):
        value = 255 if flat_mask[run_start] else 0
        for run_length in _split_run(run_end - run_start):
            size_index = next(k for k in range(4) if run_length <= 2 ** _LENGTH_BITS[k])
            num_bits = _LENGTH_BITS[size_index]
            bit_fields.append(
                f"1{size_index:02b}{run_length - 1:0{num_bits}b}{value:08b}"
            )
    # 3. Filled up to whole bytes.
    bit_stream = "".join(bit_fields)
    bit_stream += "0" * (-len(bit_stream) % 8)
    return [int(bit_stream[k : k + 8], 2) for k in range(0, len(bit_stream), 8)]


def _split_run(run_length: int) -> Iterator[int]:
    """Yield the parts of a run that fit into the largest length size."""
    max_length = 2 ** _LENGTH_BITS[-1]
    while run_length > 0:
        yield min(run_length, max_length)
        run_length -= max_length


def _to_click(keypoint: dict, width: int, height: int) -> Click:
    """Convert a keypoint to a click.

    Label Studio counts in percent of the sides, from pixel corners; the server counts
    pixel centers.
    """
    value = keypoint["value"]
    x, y = value["x"] * width / 100 - 0.5, value["y"] * height / 100 - 0.5
    is_positive = bool(keypoint.get("is_positive", True))
    return Click(min(max(x, 0.0), width - 1), min(max(y, 0.0), height - 1), is_positive)


def _brush_name(keypoint: dict) -> str:
    """Return the name of the brush control: "brush" instead of "keypoint"."""
    return keypoint["from_name"].replace("keypoint", "brush")


def main() -> None:
    """Serve Label Studio until the command is stopped."""
    parser = argparse.ArgumentParser(
        description="ML backend for Label Studio that calls a running mst_jax server."
    )
    add_flag = parser.add_argument
    add_flag("--server", default="http://127.0.0.1:8000", help="URL of mst_jax.serve")
    add_flag("--token", default=os.environ.get("MST_JAX_TOKEN"), help="its token")
    add_flag("--studio", default="http://localhost:8080", help="URL of Label Studio")
    add_flag(
        "--key",
        default=os.environ.get("LABEL_STUDIO_API_KEY", ""),
        help="access token of Label Studio",
    )
    add_flag("--host", default="127.0.0.1", help="address to bind to")
    add_flag("--port", type=int, default=9090)
    flags = parser.parse_args()
    # Interactive models can take minutes for their first image while they compile.
    server_headers = {"authorization": f"Bearer {flags.token}"} if flags.token else {}
    server_client = httpx2.Client(
        base_url=flags.server, headers=server_headers, timeout=300
    )
    studio_headers = {"authorization": f"Token {flags.key}"} if flags.key else {}
    studio_client = httpx2.Client(
        base_url=flags.studio, headers=studio_headers, timeout=60
    )
    app = make_app(Backend(server_client, studio_client))
    uvicorn.run(app, host=flags.host, port=flags.port, log_level="warning")


if __name__ == "__main__":
    main()
