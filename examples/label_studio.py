r"""Clicking inside Label Studio: an ML backend that asks a running mst_jax server.

python -m mst_jax.serve --checkpoint RUN
python examples/label_studio.py --studio http://localhost:8080 --key ACCESS_TOKEN

In Label Studio: Settings, Model, Connect Model, http://localhost:9090, with "interactive
preannotations". docs/serving.md has the labeling interface.
"""

import argparse
import itertools
import os
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx2
import numpy as np
import uvicorn
from fastapi import Body, FastAPI, HTTPException
from jaxtyping import Bool

VERSION = "mst_jax"
_SIZES = (3, 6, 10, 16)  # bits of a run's length, less one; which of them, in 2 bits


class Click(NamedTuple):
    """A keypoint of Label Studio, in pixels of the picture."""

    x: float
    y: float
    positive: bool


class Backend:
    """Answers Label Studio's questions with masks of the server."""

    def __init__(self, server: httpx2.Client, studio: httpx2.Client) -> None:
        """Takes the ways to both."""
        self._server, self._studio = server, studio
        self._sessions: dict[str, str] = {}

    def predict(self, task: dict, context: dict) -> dict:
        """One object: its mask after all keypoints that the user has set so far."""
        points = [one for one in context["result"] if one["type"] == "keypointlabels"]
        if not points:
            return {"result": [], "model_version": VERSION}
        address = self._open(next(iter(task["data"].values())))
        size = self._ask("GET", address)
        clicks = [_click_of(point, size["width"], size["height"]) for point in points]
        number = self._ask("POST", f"{address}/objects")["number"]
        try:
            for click in clicks:
                where = f"{address}/objects/{number}/clicks"
                answer = self._ask("POST", where, json=click._asdict())
        finally:
            self._server.delete(f"{address}/objects/{number}")
        last = points[-1]
        region = {
            "type": "brushlabels",
            "from_name": _brush_of(last),
            "to_name": last["to_name"],
            "original_width": size["width"],
            "original_height": size["height"],
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": pack(read_runs(**answer["mask"])),
                "brushlabels": last["value"]["keypointlabels"],
            },
        }
        return {"result": [region], "model_version": VERSION}

    def _open(self, url: str) -> str:
        """The server's session of a picture, opened if it is not."""
        address = self._sessions.get(url)
        if address and self._server.get(address).status_code == 200:
            return address
        place = urljoin(str(self._studio.base_url), url)
        if urlsplit(place)[:2] != urlsplit(str(self._studio.base_url))[:2]:
            raise HTTPException(400, f"{url} is not a file of this Label Studio")
        picture = self._studio.get(place)
        if picture.status_code != 200:
            raise HTTPException(
                400, f"Label Studio answers {picture.status_code}: {url}"
            )
        kind = {"content-type": picture.headers.get("content-type", "image/*")}
        body = {"content": picture.content, "headers": kind}
        opened = self._ask("POST", "/api/sessions", **body)
        self._sessions[url] = address = f"/api/sessions/{opened['session']}"
        return address

    def _ask(self, method: str, address: str, **body: object) -> dict:
        answer = self._server.request(method, address, **body)
        if answer.status_code >= 400:
            raise HTTPException(400, answer.json()["error"])
        return answer.json()


def make_app(backend: Backend) -> FastAPI:
    """The addresses that Label Studio calls."""
    app = FastAPI(title="mst_jax for Label Studio", docs_url=None, redoc_url=None)

    @app.get("/health")
    def health() -> dict:
        return {"status": "UP", "model_class": "mst_jax"}

    @app.post("/setup")
    def setup() -> dict:
        return {"model_version": VERSION}

    @app.post("/predict")
    def predict(body: dict = Body()) -> dict:  # noqa: B008 - FastAPI's way
        context = (body.get("params") or {}).get("context") or {"result": []}
        results = [backend.predict(task, context) for task in body["tasks"]]
        return {"results": results, "model_version": VERSION}

    @app.post("/webhook")
    def webhook() -> dict:
        return {}

    return app


def read_runs(size: tuple[int, int], counts: list[int]) -> Bool[np.ndarray, "h w"]:
    """A mask from its runs down the columns, the first one empty."""
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(size, order="F")


def pack(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """A mask as Label Studio's brush has it: bytes of packed runs.

    Four equal bytes a pixel, 0 or 255, in a stream of bits: 32 of their number, 5 of the
    bits a value has less one, 4 times 4 of the bits that a run's length may have less
    one; then for each run 1, which size its length has, the length less one, the value.
    """
    line = np.repeat(mask.ravel(), 4)
    ends = [*np.flatnonzero(np.diff(line, prepend=~line[:1])).tolist(), line.size]
    bits = [
        f"{line.size:032b}",
        f"{8 - 1:05b}",
        *(f"{size - 1:04b}" for size in _SIZES),
    ]
    for start, end in itertools.pairwise(ends):
        for length in _pieces(end - start):
            which = next(k for k in range(4) if length <= 2 ** _SIZES[k])
            value = 255 if line[start] else 0
            bits.append(f"1{which:02b}{length - 1:0{_SIZES[which]}b}{value:08b}")
    stream = "".join(bits)
    stream += "0" * (-len(stream) % 8)
    return [int(stream[k : k + 8], 2) for k in range(0, len(stream), 8)]


def _pieces(length: int) -> Iterator[int]:
    """Parts of a run that are not too long to be packed."""
    most = 2 ** _SIZES[-1]
    while length > 0:
        yield min(length, most)
        length -= most


def _click_of(point: dict, width: int, height: int) -> Click:
    """Label Studio counts in percent of the sides; corners of pixels are whole."""
    value = point["value"]
    x, y = value["x"] * width / 100 - 0.5, value["y"] * height / 100 - 0.5
    is_positive = bool(point.get("is_positive", True))
    return Click(min(max(x, 0.0), width - 1), min(max(y, 0.0), height - 1), is_positive)


def _brush_of(point: dict) -> str:
    """The name of the brush control: that of the keypoints with "brush" for it."""
    return point["from_name"].replace("keypoint", "brush")


def main() -> None:
    """Serves Label Studio until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--server", default="http://127.0.0.1:8000", help="where mst_jax.serve is")
    add("--token", default=os.environ.get("MST_JAX_TOKEN"), help="of the server")
    add("--studio", default="http://localhost:8080", help="where Label Studio is")
    add("--key", default=os.environ.get("LABEL_STUDIO_API_KEY", ""), help="its token")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=9090)
    options = parser.parse_args()
    bearer = {"authorization": f"Bearer {options.token}"} if options.token else {}
    server = httpx2.Client(base_url=options.server, headers=bearer, timeout=300)
    key = {"authorization": f"Token {options.key}"} if options.key else {}
    studio = httpx2.Client(base_url=options.studio, headers=key, timeout=60)
    app = make_app(Backend(server, studio))
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
