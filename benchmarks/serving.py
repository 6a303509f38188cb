"""How long users wait for a mask: twenty who click at once for a minute, and one alone.

python benchmarks/serving.py quickstart/run
"""

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
from scipy import ndimage
from unit import matrix_product

from mst_jax.data.formats.images import encode_png

HEIGHT, WIDTH = 480, 640
CLICKS = 12  # on an object, then the next one begins
ALONE = 60  # clicks of the one user
JSON = {"content-type": "application/json"}


class User:
    """One who opens a picture of their own and clicks as soon as the mask is there."""

    def __init__(self, port: int, seed: int) -> None:
        """Opens the picture."""
        self._line = HTTPConnection("127.0.0.1", port)
        self._rng = np.random.default_rng(seed)
        noise = self._rng.normal(size=(HEIGHT, WIDTH, 3))
        smooth = ndimage.gaussian_filter(noise, (12, 12, 0))
        picture = np.clip(128 + 2500 * smooth, 0, 255).astype(np.uint8)
        kind = {"content-type": "image/png"}
        opened = self._ask("POST", "/api/sessions", encode_png(picture), kind)
        self._objects = f"/api/sessions/{opened['session']}/objects"
        self.waits: list[float] = []
        self.server: list[float] = []

    def begin(self) -> None:
        """Begins an object."""
        number = self._ask("POST", self._objects, b"{}", JSON)["number"]
        self._clicks = f"{self._objects}/{number}/clicks"

    def click(self) -> None:
        """Clicks somewhere and notes how long the mask took."""
        click = {
            "x": float(self._rng.uniform(0, WIDTH - 1)),
            "y": float(self._rng.uniform(0, HEIGHT - 1)),
            "positive": bool(len(self.waits) % CLICKS == 0 or self._rng.random() < 0.6),
        }
        start = time.perf_counter()
        answer = self._ask("POST", self._clicks, json.dumps(click).encode(), JSON)
        self.waits.append(1000 * (time.perf_counter() - start))
        self.server.append(answer["milliseconds"])

    def go_on(self, *, seconds: float = np.inf, clicks: float = np.inf) -> None:
        """Clicks for so long, or so often."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and len(self.waits) < clicks:
            if len(self.waits) % CLICKS == 0:
                self.begin()
            self.click()

    def _ask(self, method: str, address: str, body: bytes, headers: dict) -> dict:
        self._line.request(method, address, body, headers)
        answer = self._line.getresponse()
        told = json.loads(answer.read())
        if answer.status >= 400:
            raise RuntimeError(f"{answer.status}: {told['error']}")
        return told


@contextlib.contextmanager
def served(checkpoint: Path, *, users: int) -> Iterator[int]:
    """Starts the server, waits until it has compiled, and stops it; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        words = ["--checkpoint", checkpoint, "--sessions", folder, "--port", port]
        words += ["--max-awake", users + 1]
        command = [sys.executable, "-m", "mst_jax.serve", *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while process.poll() is None and not is_ready(port):
                time.sleep(0.5)
            if process.poll() is not None:
                raise SystemExit("the server did not start")
            yield port
        finally:
            process.terminate()
            process.wait()


def is_ready(port: int) -> bool:
    """Has the server compiled everything?"""
    line = HTTPConnection("127.0.0.1", port)
    try:
        line.request("GET", "/api/about")
        return json.load(line.getresponse())["ready"]
    except OSError:
        return False


def report(name: str, users: list[User], seconds: float, errors: int) -> None:
    """Prints one row."""
    waits = np.concatenate([user.waits for user in users])
    half, most = np.percentile(waits, [50, 95])
    server = np.percentile(np.concatenate([user.server for user in users]), 50)
    print(
        f"| {name} | {len(waits)} | {errors} | {len(waits) / seconds:.1f} | {half:.0f} | "
        f"{most:.0f} | {waits.max():.0f} | {server:.0f} |",
        flush=True,
    )


def main() -> None:
    """Prints a table: one user alone, then many at once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    print(f"unit: {1000 * matrix_product():.0f} ms")
    head = "users clicks errors clicks/s p50 p95 longest p50_in_the_server"
    print("|", " | ".join(head.replace("_", "\0").split()).replace("\0", " "), "|")
    print("|---|" + "---:|" * 7)
    with served(options.checkpoint, users=options.users) as port:
        start, alone = time.perf_counter(), User(port, 0)
        alone.go_on(clicks=ALONE)
        report("one", [alone], time.perf_counter() - start, 0)
        users = [User(port, 1 + seed) for seed in range(options.users)]
        with ThreadPoolExecutor(options.users) as pool:
            begin = threading.Barrier(options.users)

            def work(user: User) -> bool:
                begin.wait()
                try:
                    user.go_on(seconds=options.seconds)
                except (RuntimeError, OSError, ValueError) as error:
                    print(f"error: {error}", file=sys.stderr)
                    return True
                return False

            start = time.perf_counter()
            errors = sum(pool.map(work, users))
            report(str(options.users), users, time.perf_counter() - start, errors)
    print(f"unit: {1000 * matrix_product():.0f} ms")


if __name__ == "__main__":
    main()
